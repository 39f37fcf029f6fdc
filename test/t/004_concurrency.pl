# Many sessions at one balance and at one reference.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = set_up(new_node('main', conf => "fsync = off\n"));
$node->safe_psql('crm', q{
	SELECT crm_member.register_member(name => 'One', source => 'test', external_id => '1');
	INSERT INTO crm_member.points_rule (rule_code, award, points) VALUES ('base', 'per_amount', 1);
	CREATE FUNCTION one() RETURNS bigint LANGUAGE sql STABLE AS $$SELECT crm_member.member_id('external:test', '1')$$;
	-- true where it was spent, false where the balance did not suffice; any other error is passed on
	CREATE FUNCTION try_spend(ref text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
	  PERFORM crm_member.spend_points(one(), 7, 'test', try_spend.ref);
	  RETURN true;
	EXCEPTION WHEN SQLSTATE 'RM301' THEN
	  RETURN false;
	END$$;
	CREATE TABLE tried (spent boolean);
	SELECT crm_member.award_points(one(), 5000, 'test', 'start');});

# 16 clients x 60 attempts x 7 points want 6720 of 5000
$node->pgbench('--no-vacuum --client=16 --transactions=60', 0, [qr{960/960}], [qr{^$}],
	'16 clients spend one balance',
	{ spend => q{
		\set n random(1, 1000000000000)
		INSERT INTO tried SELECT try_spend(:client_id || '-' || :n);
	} }, 'crm');
is($node->safe_psql('crm', 'SELECT count(*) FILTER (WHERE spent), count(*) FROM tried'),
	'714|960', 'as many succeed as the balance allows');
is($node->safe_psql('crm', 'SELECT crm_member.points_balance(one())'), '2', 'the rest is left');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'the ledger is in order');

$node->pgbench('--no-vacuum --client=16 --transactions=50', 0, [qr{800/800}], [qr{^$}],
	'16 clients repeat 40 awards',
	{ award => q{
		\set n random(1, 40)
		SELECT crm_member.award_points(one(), :n, 'test', 'award ' || :n);
	} }, 'crm');
is( $node->safe_psql('crm', q{
		SELECT count(*) = count(DISTINCT ref), sum(points) = sum(split_part(ref, ' ', 2)::int)
		FROM crm_member.points_entry WHERE ref LIKE 'award %'}),
	't|t', 'each award is there once');

$node->pgbench('--no-vacuum --client=16 --transactions=50', 0, [qr{800/800}], [qr{^$}],
	'16 clients repeat 40 checkouts',
	{ checkout => q{
		\set n random(1, 40)
		SELECT crm_member.checkout(jsonb_build_object('ref', 'C' || :n, 'source', 'till', 'member_id', one(),
		  'sold_at', '2026-05-01T10:00:00+08:00',
		  'lines', jsonb_build_array(jsonb_build_object('line_no', 1, 'quantity', 1, 'price', :n))));
	} }, 'crm');
is( $node->safe_psql('crm', q{
		SELECT count(*) = count(DISTINCT ref), count(*) = (SELECT count(*) FROM crm_member.points_entry WHERE kind = 'earn'),
			   sum(amount) = (SELECT sum(points) FROM crm_member.points_entry WHERE kind = 'earn')
		FROM crm_member.sale WHERE source = 'till'}),
	't|t|t', 'each sale is there once and earned once');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'the ledger is in order');

done_testing();
