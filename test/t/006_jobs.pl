# Jobs by the real pg_cron: in its own database, and from another one.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $plain = set_up(new_node('plain'));
for my $call ("SELECT crm_member.schedule('run_rfm', '* * * * *')", "SELECT crm_member.unschedule('run_rfm')")
{
	like(refusal($plain, 'crm', $call), qr/0A000:.*HINT:  Install pg_cron/s, "without pg_cron refused: $call");
}
$plain->safe_psql('crm', "CALL crm_member.run_job('run_rfm')");
is($plain->safe_psql('crm', 'SELECT status FROM crm_member.job_run'), 'succeeded', 'by hand it runs without pg_cron');
$plain->stop;

my $node = set_up(new_node('cron', allows_streaming => 1, conf => q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
max_worker_processes = 20
}));
fill($node);
$node->safe_psql('postgres', "CREATE EXTENSION crm_member; CALL crm_member.setup(time_zone => 'Asia/Shanghai')");
like(refusal($node, 'postgres', "SELECT crm_member.schedule('run_rfm', '* * * * *')"),
	qr/0A000:.*HINT:  Run CREATE EXTENSION pg_cron/s, 'pg_cron is loaded but not created');
like(refusal($node, 'crm', "SELECT crm_member.schedule('run_rfm', '* * * * *')"),
	qr/cron.* does not exist/, 'the same seen from another database');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');

# idempotent by name, in each database on its own
$node->safe_psql($_, "SELECT crm_member.schedule('run_rfm', '30 2 * * *')") for ('crm', 'postgres', 'crm');
$node->safe_psql($_, "SELECT crm_member.schedule('run_rfm', '* * * * *')") for ('crm', 'postgres');
is($node->safe_psql('postgres', 'SELECT database, schedule, command FROM cron.job ORDER BY 1'),
	"crm|* * * * *|CALL crm_member.run_job('run_rfm')\npostgres|* * * * *|CALL crm_member.run_job('run_rfm')",
	'one job a database, with the last schedule');
is($node->safe_psql('crm', "SELECT schedule, scheduled_by = current_user FROM crm_member.job WHERE job = 'run_rfm'"),
	'* * * * *|t', 'the view shows the schedule');
like(refusal($node, 'crm', "SELECT crm_member.schedule('run_rfm', 'sometimes')"), qr/invalid schedule/, 'a schedule pg_cron does not understand');
is($node->safe_psql('crm', "SELECT schedule FROM crm_member.job WHERE job = 'run_rfm'"), '* * * * *', 'and it changes nothing');

# a role acts under its own rights there
$node->safe_psql('crm', q{CREATE ROLE regress_clerk LOGIN; GRANT USAGE ON SCHEMA crm_member TO regress_clerk;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm_member TO regress_clerk});
like(refusal($node, 'crm', "SET ROLE regress_clerk; SELECT crm_member.schedule('run_rfm', '* * * * *')"), qr/42501:/, 'no rights to pg_cron');

# one that owns the extension and is no superuser needs no more than rights to pg_cron
$node->safe_psql('postgres', q{CREATE ROLE regress_keeper SUPERUSER LOGIN; CREATE DATABASE kept TEMPLATE template0 ENCODING 'UTF8'});
$node->safe_psql('kept', 'SET ROLE regress_keeper; CREATE EXTENSION crm_member; CALL crm_member.setup()');
$node->safe_psql('postgres', q{ALTER ROLE regress_keeper NOSUPERUSER; GRANT USAGE ON SCHEMA cron TO regress_keeper;
	GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO regress_keeper});
$node->safe_psql('kept', "SET ROLE regress_keeper; SELECT crm_member.schedule('run_rfm', '* * * * *')");

# pg_cron runs it
for my $database ('crm', 'postgres', 'kept')
{
	$node->poll_query_until($database, q{SELECT count(*) > 0 FROM crm_member.job_run WHERE status = 'succeeded'})
	  or die "pg_cron did not run the job in $database";
	pass("pg_cron ran the job in $database");
}
is($node->safe_psql('crm', q{SELECT count(DISTINCT job), bool_and(rows = 20) FROM crm_member.job_run WHERE status = 'succeeded'}),
	'1|t', 'it scored every member');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.rfm'), '20', 'the scores are there');

is($node->safe_psql('kept', q{SELECT DISTINCT actor FROM crm_member.job_run}), 'regress_keeper', 'each under the rights of who scheduled it');

# a standby has nothing to do
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my ($status, $out, $err) = $standby->psql('crm', "CALL crm_member.run_job('run_rfm')");
is($status, 0, 'on a standby a job ends well');
like($err, qr/NOTICE:.*standby/, 'and says why it did nothing');
is($standby->safe_psql('crm', 'SELECT count(*) FROM crm_member.rfm'), '20', 'scores can be read there');
is($standby->safe_psql('crm', q{SELECT crm_member.count_members(ARRAY['member.rfm_r >= 4'::crm_member.condition], 'union') = count(*) FROM crm_member.rfm WHERE r >= 4}),
	't', 'and members counted by them');
$standby->stop;

is($node->safe_psql($_, "SELECT crm_member.unschedule('run_rfm'), crm_member.unschedule('run_rfm')"), 't|f', "unscheduled in $_") for ('crm', 'postgres', 'kept');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'nothing is left');

done_testing();
