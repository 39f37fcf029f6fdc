# A dump and a restore give the same members and points, award nothing twice,
# and the restored server goes on where the old one stopped.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $sale = '{"ref": "C1", "source": "test", "identity": {"kind": "external:test", "value": "1"},
             "sold_at": "2026-05-01 10:00+08", "lines": [{"line_no": 1, "sku": "A1", "quantity": 1, "price": 30}]}';
my $every_id = q{
	SELECT member_id AS id FROM crm_member.member UNION ALL SELECT sale_id FROM crm_member.sale};

my $old = set_up(new_node('old'));
fill($old);
$old->safe_psql('crm', qq{
	SELECT crm_member.checkout('$sale');
	SELECT crm_member.spend_points(crm_member.member_id('external:test', i::text), 25, 'gift', 'G' || i)
	FROM generate_series(1, 10) i;});

$old->safe_psql('crm', q{
	INSERT INTO crm_member.coupon_template (template_code, kind, value, total_limit) VALUES ('TEN', 'amount', 10, 5000);
	SELECT crm_member.generate_coupons('TEN', 2000), crm_member.issue_coupon('TEN', NULL, 'one'), crm_member.import_coupon('TEN', 'foreign 1');
	SELECT crm_member.redeem_coupon('Foreign 1', '{"lines": [{"price": 30}]}', 'before');});
my $coupons = q{
	SELECT count(*), md5(string_agg(c::text, ' ' ORDER BY c.code USING OPERATOR(crm_member.<))),
	       (SELECT l.uses || '+' || l.uses_left FROM crm_member.coupon_limit l) FROM crm_member.coupon c};
my $expected_coupons = $old->safe_psql('crm', $coupons);
like($expected_coupons, qr/^2002\|.*\|1\+4999$/, 'and coupons with a limit');

my $expected = balances($old);
my $answer = $old->safe_psql('crm', "SELECT crm_member.checkout('$sale')");
like($expected, qr/\d\|points\|\d/, 'there is something to dump');
is($old->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'and it is in order');

my $dir = PostgreSQL::Test::Utils::tempdir();
$old->command_ok([ 'pg_dump', '-f', "$dir/plain.sql", 'crm' ], 'plain dump');
$old->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", 'crm' ], 'dump in custom format');
$old->command_ok([ 'pg_dump', '-Fc', '-n', 'crm_member', '-f', "$dir/schema", 'crm' ],
	'dump of the schema alone');
$old->command_ok(
	[ 'pg_dump', '--data-only', '--disable-triggers', '-n', 'crm_member', '-f', "$dir/data.sql", 'crm' ],
	'dump of the data alone');

sub check_restored
{
	my ($node, $how) = @_;
	is(balances($node), $expected, "$how: same balances, entries and lots");
	is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'),
		'0', "$how: the ledger is in order");
	is($node->safe_psql('crm', "SELECT crm_member.checkout('$sale')"),
		$answer, "$how: a sale rung up before is known");
	is(balances($node), $expected, "$how: and earns nothing twice");
	is($node->safe_psql('crm', $coupons), $expected_coupons, "$how: same coupons, same limit");
	is($node->safe_psql('crm', q{
			SELECT crm_member.generate_coupons('TEN', 2000), crm_member.issue_coupon('TEN', NULL, 'two') IS NOT NULL,
			       (crm_member.redeem_coupon((SELECT code FROM crm_member.coupon WHERE status = 'active' LIMIT 1), '{"lines": [{"price": 30}]}', 'after')).discount}),
		'2000|t|10.00', "$how: new codes are new, old ones are good");
	is($node->safe_psql('crm', "SELECT code FROM crm_member.coupon_alias"), $old->safe_psql('crm', "SELECT code FROM crm_member.coupon_alias"), "$how: imported codes too");
	is($node->safe_psql('crm', "SELECT count(*) FROM (SELECT crm_member.new_id() AS id FROM generate_series(1, 100)) n
								JOIN ($every_id) e USING (id)"),
		'0', "$how: new identifiers are new");
	is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.node'),
		'2', "$how: the new server has a number of its own");
	$node->safe_psql('crm', q{
		SELECT crm_member.register_member(name => 'New', source => 'test', external_id => 'new');
		INSERT INTO crm_member.sale (member_id, sale_id, source, ref)
		VALUES (crm_member.member_id('external:test', 'new'), 7, 'test', 'after');
		INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, quantity, price)
		VALUES (crm_member.member_id('external:test', 'new'), 7, 1, 1, 12);});
	is( $node->safe_psql('crm',
			"SELECT crm_member.points_balance(crm_member.member_id('external:test', 'new'))"),
		'12', "$how: sales go on earning");
	return;
}

my $plain = new_node('plain');
$plain->safe_psql('postgres', "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8'");
$plain->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", 'crm' ],
	'plain: restored');
check_restored($plain, 'plain');
$plain->stop;

my $custom = new_node('custom');
$custom->safe_psql('postgres', "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8'");
$custom->command_ok([ 'pg_restore', '--exit-on-error', '-j', '2', '-d', 'crm', "$dir/custom" ],
	'custom, two jobs: restored');
check_restored($custom, 'custom');
$custom->stop;

# The dump of a schema has no CREATE EXTENSION in it; with that first, its tables and rows follow.
my $schema = new_node('schema');
$schema->safe_psql('postgres', "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8'");
$schema->safe_psql('crm', 'CREATE EXTENSION crm_member');
$schema->run_log([ 'pg_restore', '-d', 'crm', "$dir/schema" ]);
check_restored($schema, 'schema');
$schema->stop;

# Data alone: setup() has written configuration of its own, which goes first.
my $data = set_up(new_node('data'));
$data->safe_psql('crm', q{
	SET session_replication_role = replica;
	DO $$
	DECLARE
	  name text;
	BEGIN
	  FOR name IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'crm_member'::regnamespace AND relkind = 'r' LOOP
		EXECUTE 'DELETE FROM ' || name;
	  END LOOP;
	END
	$$});
$data->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/data.sql", 'crm' ],
	'data alone: restored');
check_restored($data, 'data alone');
$data->stop;

# DROP EXTENSION
like(refusal($old, 'crm', 'DROP EXTENSION crm_member'),
	qr/2BP01:/, 'DROP EXTENSION is refused while tables depend on it');
is(balances($old), $expected, 'and nothing is lost by trying');

done_testing();
