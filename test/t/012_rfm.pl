# A dump and a restore keep scores, history and what the next run needs to know.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = set_up(new_node('rfm'));
fill($node);
$node->safe_psql('crm', q{
	INSERT INTO crm_member.rfm_model (model_code, "window", bins, ties, scope) VALUES ('web', '1 month', 3, 'together', 'line.category = ''shoes''');
	INSERT INTO crm_member.member_filter (filter_code, condition) VALUES ('best', 'member.rfm_m >= 4');});
# one day for all runs, which midnight does not change
my $day = $node->safe_psql('crm', 'SELECT current_date + 1');
$node->safe_psql('crm', "CALL crm_member.run_rfm('$day', '$_')") for ('default', 'web');
my $sale = q{INSERT INTO crm_member.sale (member_id, sale_id, ref, sold_at, amount, discount, payable, settled_at)
	SELECT crm_member.member_id('external:test', '3'), %d, 'later %d', now(), 500, 0, 500, now()};
$node->safe_psql('crm', sprintf($sale, 1, 1));
$node->safe_psql('crm', "CALL crm_member.run_rfm('$day')");
# bought, and not yet measured
$node->safe_psql('crm', sprintf($sale, 2, 2));

sub kept
{
	my ($database) = @_;
	return $node->safe_psql($database, q{
		SET extra_float_digits = 0; SET search_path = pg_catalog, crm_member;
		SELECT * FROM rfm ORDER BY model_code, member_id;
		SELECT * FROM rfm_history ORDER BY run_id;
		SELECT r.run_id, s.* FROM rfm_run r, rfm_scores(r.run_id) s ORDER BY 1, 2;
		SELECT * FROM rfm_migration ORDER BY model_code, from_segment, to_segment;
		SELECT * FROM rfm_path(member_id('external:test', '3'));
		SELECT * FROM value_pyramid ORDER BY 1, 2;
		SELECT filter_count('best');
		SELECT * FROM rfm_change ORDER BY 1, 2;});
}

my $before = kept('crm');
is(scalar(my @runs = $before =~ /^\d+\|(?:default|web)\|.*\|[tf]$/mg), 3, 'there is a history to dump');
my $dir = PostgreSQL::Test::Utils::tempdir();
for my $format ('p', 'c')
{
	my $database = "again_$format";
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING 'UTF8'");
	$node->command_ok([ 'pg_dump', "-F$format", '-f', "$dir/$format", 'crm' ], "dump, format $format");
	if ($format eq 'p')
	{
		$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', "$dir/$format" ], 'restore');
	}
	else
	{
		$node->command_ok([ 'pg_restore', '-e', '-d', $database, "$dir/$format" ], 'restore');
	}
	is(kept($database), $before, 'scores and history are the same');
	$node->safe_psql($database, "CALL crm_member.run_rfm('$day')");
	is($node->safe_psql($database, q{SELECT changed FROM crm_member.rfm_run ORDER BY finished_at DESC LIMIT 1}),
		'1', 'the next run measures only who bought');
	is($node->safe_psql($database, q{SELECT count(*) FROM crm_member.rfm_path(crm_member.member_id('external:test', '3'))}),
		'3', 'and adds to the history');
}

done_testing();
