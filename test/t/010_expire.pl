# expire_points() with background workers: who they are, that they help, and that
# they go with the session they help, however it ends.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use constant MEMBERS => 20000;

my $node = set_up(new_node('main', conf => q{
fsync = off
autovacuum = off
min_parallel_table_scan_size = 0
max_parallel_maintenance_workers = 2
restart_after_crash = on
}));
my $dir = PostgreSQL::Test::Utils::tempdir();
my $worker = q{backend_type = 'crm_member expire_points worker'};
my $clients = 0;

# A client that runs statements and writes what it is told to files.
sub client
{
	my ($sql) = @_;
	my $name = 'client' . ++$clients;
	append_to_file("$dir/$name.sql", "\\set VERBOSITY verbose\n$sql");
	return {
		errors => "$dir/$name.err",
		run => IPC::Run::start(
			[ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('crm'), '-f', "$dir/$name.sql" ],
			'>', "$dir/$name.out", '2>', "$dir/$name.err") };
}

# How it ended: what it reported.
sub outcome
{
	my ($client) = @_;
	IPC::Run::finish($client->{run});
	return slurp_file($client->{errors});
}

# Tills that hold the account of a member.
my %till;

sub hold
{
	my ($member) = @_;
	$till{$member} = client(qq{SET application_name = 'till $member'; BEGIN;
		SELECT FROM crm_member.points_account WHERE member_id = $member FOR UPDATE; SELECT pg_sleep(600);});
	wait_for(qq{application_name = 'till $member' AND query ~ '^SELECT pg_sleep' AND state = 'active'});
	return;
}

sub let_go
{
	my ($member) = @_;
	my $client = delete $till{$member} or return;
	$node->safe_psql('crm', qq{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'till $member'});
	outcome($client);
	return;
}

sub wait_for
{
	my ($condition) = @_;
	$node->poll_query_until('crm', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $condition)")
	  or die "nobody came for whom $condition";
	return;
}

sub wait_for_nobody
{
	my ($condition) = @_;
	return $node->poll_query_until('crm', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE $condition)");
}

sub all_gone
{
	return wait_for_nobody($worker);
}

# The books are in order; and what is booked, is so for good.
sub in_order
{
	my ($what) = @_;
	is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', "$what: the ledger is in order");
	is( $node->safe_psql('crm', q{
			SELECT count(*) FROM crm_member.points_account a
			WHERE (a.expired_to >= '2026-03-01') <> EXISTS (SELECT FROM crm_member.points_entry e WHERE e.member_id = a.member_id AND kind = 'expire')}),
		'0', "$what: no account is half done");
	return;
}

# Every member has a lot that expires and one that does not.  Members lie in order.
sub refill
{
	$node->safe_psql('crm', q{
		SET session_replication_role = replica;
		TRUNCATE crm_member.points_account, crm_member.points_entry, crm_member.points_lot, crm_member.ledger_run;
		INSERT INTO crm_member.points_account (member_id, points_type, balance, entry_no, settles_at, expires_at)
		SELECT i, 'points', 30, 2, '2025-03-01', '2026-03-01' FROM generate_series(1, } . MEMBERS . q{) i;
		INSERT INTO crm_member.points_entry (member_id, points_type, entry_no, kind, points, balance, at)
		SELECT i, 'points', n, 'award', n * 10, n * (n + 1) * 5, '2025-03-01' FROM generate_series(1, } . MEMBERS . q{) i, generate_series(1, 2) n;
		INSERT INTO crm_member.points_lot (member_id, points_type, lot_no, points, remaining, earned_at, available_at, expires_at)
		SELECT member_id, points_type, entry_no, points, points, at, at, CASE entry_no WHEN 1 THEN timestamptz '2026-03-01' ELSE 'infinity' END
		FROM crm_member.points_entry;});
	return;
}

# Everything anew; tills hold the first account, which the caller comes to, and the last, which a worker does.
sub hold_up
{
	let_go($_) for 1, MEMBERS;
	refill();
	hold($_) for 1, MEMBERS;
	return;
}

$node->safe_psql('crm', q{
	INSERT INTO crm_member.member (member_id) SELECT generate_series(1, } . MEMBERS . q{);
	CREATE ROLE regress_manager LOGIN;
	SELECT crm_member.grant_access('regress_manager', 'manager');});

# they are of the caller's role, and book while the caller waits for a till
hold_up();
my $job = client(q{SET ROLE regress_manager; SET application_name = 'job'; CALL crm_member.expire_points('2026-03-02', 2000);});
wait_for(qq{$worker AND wait_event_type = 'Lock'});
ok( $node->poll_query_until('crm', qq{SELECT count(*) > 10000 FROM crm_member.points_entry WHERE kind = 'expire'}),
	'workers book while the caller waits for a till');
ok( $node->poll_query_until('crm', qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE $worker}),
	'one that finds nothing more goes, one that waits for a till stays');
is( $node->safe_psql('crm', qq{
		SELECT w.application_name = 'crm_member expire_points worker for PID ' || j.pid
		FROM pg_stat_activity w, pg_stat_activity j WHERE w.$worker AND j.application_name = 'job'}),
	't', 'it says whose it is');
ok( $node->safe_psql('crm', q{SELECT accounts > 10000 AND finished_at IS NULL FROM crm_member.ledger_run}),
	'and the run shows how far it is');
in_order('under way');

# cancelled, terminated, out of time: the workers stop too
$node->safe_psql('crm', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'job'});
like(outcome($job), qr/57014/, 'the caller is cancelled');
ok(all_gone(), 'and its worker is gone');
in_order('cancelled');

for my $how ([ 'terminated', "SET statement_timeout = 0", q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'job'}, qr/57P01/ ],
	[ 'out of time', "SET statement_timeout = '3s'", 'SELECT 1', qr/57014.*statement timeout/ ])
{
	hold_up();
	my $run = client(qq{SET application_name = 'job'; $how->[1]; CALL crm_member.expire_points('2026-03-02', 2000);});
	# where it is slow, its time is out before they are there
	wait_for(qq{$worker AND wait_event_type = 'Lock'}) unless $how->[0] eq 'out of time';
	$node->safe_psql('crm', $how->[2]);
	like(outcome($run), $how->[3], "the caller is $how->[0]");
	ok(all_gone(), 'and its worker is gone');
	in_order($how->[0]);
}

# what a worker meets is the caller's error
hold_up();
let_go(1);
my $run = client(q{SET application_name = 'job'; SET lock_timeout = '1s'; CALL crm_member.expire_points('2026-03-02', 100000);});
like(outcome($run), qr/ERROR:  55P03: canceling statement due to lock timeout/, 'a time limit for locks holds for all of them');
ok(all_gone(), 'and they are gone');
in_order('out of time for a lock');

# the last pages are a worker's, where the caller is held up until they are taken
for my $how ([ 'pg_terminate_backend', qr/57000: a background worker of expire_points was stopped/ ],
	[ 'pg_cancel_backend', qr/57014: canceling statement due to user request.*CONTEXT:  background worker of expire_points/s ])
{
	hold_up();
	$run = client(q{SET application_name = 'job'; CALL crm_member.expire_points('2026-03-02', 2000);});
	wait_for(qq{$worker AND wait_event_type = 'Lock'});
	let_go(1);
	wait_for(q{application_name = 'job' AND lower(wait_event) = 'bgworkershutdown'});
	$node->safe_psql('crm', "SELECT $how->[0](pid) FROM pg_stat_activity WHERE $worker AND wait_event_type = 'Lock'");
	like(outcome($run), $how->[1], "a worker ended by $how->[0] is told of");
	ok(all_gone(), 'and none is left');
	in_order($how->[0]);
}

# kill -9 of the caller
hold_up();
$run = client(q{SET application_name = 'job'; CALL crm_member.expire_points('2026-03-02', 2000);});
wait_for(qq{$worker AND wait_event_type = 'Lock'});
kill 'KILL', $node->safe_psql('crm', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'job'});
outcome($_) for $run, values %till;
$node->poll_query_until('crm', q{SELECT true}) or die 'the server did not come back';
ok(all_gone(), 'after kill -9 of the caller none is left');
in_order('killed');

# the next call goes on; two at once do no harm
my @both = map { client(q{CALL crm_member.expire_points('2026-03-02', 500);}) } 1, 2;
is(outcome($_), '', 'it goes on where the other was killed') for @both;
is( $node->safe_psql('crm', q{
		SELECT count(*), count(DISTINCT member_id), sum(points) FROM crm_member.points_entry WHERE kind = 'expire'}),
	MEMBERS . '|' . MEMBERS . '|' . -10 * MEMBERS, 'every account once');
is( $node->safe_psql('crm', q{SELECT sum(balance), min(expires_at) FROM crm_member.points_account}),
	20 * MEMBERS . '|infinity', 'and the balances are as they should be');
in_order('at the end');

# tills at work all the while, with two accounts at a time in either order
refill();
append_to_file("$dir/till.sql", '\set a random(1, ' . MEMBERS . ")\n\\set b random(1, " . MEMBERS . q{)
\set n random(1, 1000000000000)
SELECT crm_member.spend_points(:a, 1, ref => 's' || :n);
SELECT crm_member.transfer_points(:b, CASE WHEN :a = :b THEN :a % 100 + 100 ELSE :a END, 1, ref => 't' || :n) WHERE :b > 200;
});
my $tills = IPC::Run::start([ 'pgbench', '-n', '-T', '3600', '-c', '4', '-M', 'prepared', '--verbose-errors', '-f', "$dir/till.sql", $node->connstr('crm') ],
	'>', "$dir/till.out", '2>', "$dir/till.err");
$node->poll_query_until('crm', q{SELECT count(*) > 100 FROM crm_member.points_entry WHERE kind = 'transfer_in'}) or die 'the tills are closed';
$node->safe_psql('crm', q{CALL crm_member.expire_points('2026-03-02', 20);});
my $later = $node->safe_psql('crm', q{SELECT count(*) FROM crm_member.points_entry WHERE kind = 'spend'});
ok($node->poll_query_until('crm', "SELECT count(*) > $later FROM crm_member.points_entry WHERE kind = 'spend'"), 'tills worked on to the end');
$tills->signal('INT');
IPC::Run::finish($tills);
unlike(slurp_file("$dir/till.err"), qr/ERROR/, 'none was turned away or met an error');
wait_for_nobody(q{application_name = 'pgbench'});
is( $node->safe_psql('crm', q{SELECT count(*) - sum(points) / -10 FROM crm_member.points_entry WHERE kind = 'expire'}) + 0,
	0, 'what expired was as much for everyone');
is( $node->safe_psql('crm', q{SELECT count(*) FROM crm_member.points_account WHERE expires_at <= '2026-03-02'}),
	'0', 'and no account was missed');
in_order('with tills at work');

# where there is no worker to be had it works alone
refill();
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
is( $node->safe_psql('crm', q{CALL crm_member.expire_points('2026-03-02');
		SELECT accounts, points, finished_at IS NOT NULL FROM crm_member.ledger_run}),
	MEMBERS . '|' . 10 * MEMBERS . '|t', 'without workers it does all by itself');
in_order('alone');

done_testing();
