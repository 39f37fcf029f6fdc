# On a hot standby reading works, writing is refused; a logical replica has the
# same rows and proves the same books.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = set_up(new_node('primary', allows_streaming => 'logical'));
fill($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $one = q{crm_member.member_id('external:test', '1')};
my $sale = '{"ref": "N1", "source": "test", "identity": {"kind": "external:test", "value": "1"},
			 "sold_at": "2026-05-01 10:00+08", "lines": [{"line_no": 1, "sku": "A1", "quantity": 1, "price": 30}]}';
$primary->safe_psql('crm', "SELECT crm_member.award_points($one, 11, 'test', 'late')");
$primary->safe_psql('crm', q{
	INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, min_spend, total_limit, member_limit)
	VALUES ('five', 'amount', 5, NULL, 20, 10, 1), ('much', 'amount', 5, NULL, 42.5, NULL, NULL);
	SELECT crm_member.import_coupon(template_code, template_code) FROM crm_member.coupon_template;});
$primary->safe_psql('crm', "SELECT crm_member.top_up_stored_value($one, 20, 'test', 'top up')");
$primary->safe_psql('crm', q{
	INSERT INTO crm_member.member_filter (filter_code, condition, owner) VALUES ('best', 'member.rfm_r >= 4', 'postgres');
	CALL crm_member.run_rfm();
	CALL crm_member.find_duplicates();});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

my $coupons = qq{'$sale'::jsonb || '{"coupons": ["much", "five"]}'};
for my $read (
	$one,
	"crm_member.quote('$sale')",
	"crm_member.evaluate_points('$sale')",
	"crm_member.explain_points('$sale')",
	"crm_member.simulate_rules('2020-01-01', '2030-01-01', NULL)",
	"crm_member.sale_document('test', 'S1')",
	"crm_member.points_balance($one)",
	"crm_member.points_balance($one, as_of => now() - interval '2 hours', known_at => now())",
	"crm_member.stored_value_balance($one)",
	"crm_member.verify_ledger()",
	"crm_member.tier_progress($one)",
	"crm_member.validate_coupon('five', '$sale')",
	"crm_member.validate_coupon('much', '$sale')",
	"crm_member.best_coupons($coupons)",
	"crm_member.coupon_history('five')",
	"crm_member.member_360($one)",
	"crm_member.canonical_member($one)",
	"crm_member.family_of($one)",
	"crm_member.may_contact($one, 'sms', 'marketing')",
	"crm_member.match_member('{\"name\": \"Member 7\"}')",
	"crm_member.normalize_name('張偉先生')",
	"crm_member.connected_components('SELECT member_id, 1 FROM crm_member.member')",
	"crm_member.rfm_from('SELECT member_id, sold_at, payable FROM crm_member.sale', CURRENT_DATE)",
	"crm_member.rfm_scores((SELECT max(run_id) FROM crm_member.rfm_run))",
	"crm_member.rfm_path($one)",
	"crm_member.rfm_grid()",
	"crm_member.segment_bars_svg()",
	"crm_member.filter_members('best')",
	"crm_member.condition_explain('sale.amount > 5', '{\"sale\": {\"amount\": 3}}')")
{
	my $rows = "SELECT x::text FROM $read AS x ORDER BY 1";
	is($standby->safe_psql('crm', $rows), $primary->safe_psql('crm', $rows), "the standby answers $read");
}

# Every table and view, in digests.
sub digests
{
	my ($node, $kinds) = @_;
	my $rows = $node->safe_psql('crm', $primary->safe_psql('crm', sprintf(q{
		SELECT string_agg(format($$SELECT %%1$L, count(*), md5(string_agg(t::text, E'\n' ORDER BY t::text COLLATE "C")) FROM crm_member.%%1$I t$$, relname),
		                  ' UNION ALL ')
		FROM pg_class WHERE relnamespace = 'crm_member'::regnamespace AND relkind IN (%s)}, $kinds)));
	return join "\n", sort split /\n/, $rows;
}

my $digests = digests($primary, q{'r', 'v'});
cmp_ok(scalar(split /\n/, $digests), '>', 100, 'there are tables and views');
is(digests($standby, q{'r', 'v'}), $digests, 'and they read the same on the standby');

like($standby->safe_psql('crm', "SELECT * FROM crm_member.validate_coupon('five', '$sale')"), qr/^t\|\|\|5\.00\|/, 'a coupon is valid there');
like($standby->safe_psql('crm', "SELECT * FROM crm_member.validate_coupon('much', '$sale')"), qr/^f\|RM412\|12\.50 more\|/, 'or what it lacks');

for my $write (
	'SELECT crm_member.new_id()',
	"SELECT crm_member.checkout('$sale')",
	"SELECT crm_member.award_points($one, 1, 'test', 'x')",
	"SELECT crm_member.spend_points($one, 1, 'test', 'y')",
	"SELECT crm_member.redeem_coupon('five', '$sale', 'z')",
	"SELECT crm_member.spend_stored_value($one, 1, 'test', 'z')",
	"SELECT crm_member.register_member(name => 'Z')")
{
	like(refusal($standby, 'crm', $write), qr/25006:/, "the standby refuses $write");
}

# A logical replica: the objects from a dump, the rows by a subscription, which settles and awards nothing.
my $replica = new_node('replica');
my $dir = PostgreSQL::Test::Utils::tempdir();
$primary->command_ok([ 'pg_dump', '--schema-only', '-f', "$dir/objects.sql", 'crm' ], 'dump of the objects');
$replica->safe_psql('postgres', "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8'");
$replica->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/objects.sql", 'crm' ], 'restored on a replica');
my $tables = $primary->safe_psql('crm', q{
	SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relnamespace = 'crm_member'::regnamespace AND relkind = 'r'});
$primary->safe_psql('crm', "CREATE PUBLICATION everything FOR TABLE $tables");
$replica->safe_psql('crm', 'CREATE SUBSCRIPTION everything CONNECTION $$' . $primary->connstr('crm') . '$$ PUBLICATION everything');
$replica->poll_query_until('crm', q{SELECT count(*) > 0 AND bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel});
$primary->safe_psql('crm', qq{
	SELECT crm_member.checkout('$sale');
	SELECT crm_member.merge_members($one, ARRAY[crm_member.member_id('external:test', '2')]);
	SELECT crm_member.refund('{"ref": "R1", "source": "test", "sale_ref": "N1"}');
	CALL crm_member.run_rfm();});
$primary->wait_for_catchup('everything');
is(digests($replica, q{'r'}), digests($primary, q{'r'}), 'the replica has the rows of every table');
is($replica->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'and proves the books');

# A session that has read the rules before sees a change that arrives.
my $publisher = $primary->connstr('crm');
my $earned = "SELECT sum(points) FROM crm_member.evaluate_points('{\"identity\": {\"kind\": \"external:test\", \"value\": \"1\"}, \"lines\": [{\"price\": 10}]}') WHERE rule_code = 'base';";
is($replica->safe_psql('crm', qq{
$earned
\\! psql -X -q -d "$publisher" -c "UPDATE crm_member.points_rule SET points = 3 WHERE rule_code = 'base'"
DO \$\$ BEGIN
  FOR i IN 1..1200 LOOP
    EXIT WHEN (SELECT points = 3 FROM crm_member.points_rule WHERE rule_code = 'base');
    PERFORM pg_sleep(0.05);
  END LOOP;
END \$\$;
$earned}), "10\n30", 'rules that arrive are judged by at once');
$replica->safe_psql('crm', 'DROP SUBSCRIPTION everything');
like(refusal($replica, 'crm', "SELECT crm_member.spend_points($one, 1000000, 'test', 'y')"), qr/RM301:/, 'it can take over');
$replica->safe_psql('crm', "SELECT crm_member.register_member(name => 'New')");
is($replica->safe_psql('crm', 'SELECT count(*) FROM crm_member.node'), '2', 'with a number of its own');

done_testing();
