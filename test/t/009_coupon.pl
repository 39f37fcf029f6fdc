# 64 sessions at one limit, one budget and one code: exactly what there is is
# redeemed, through rollback, held carts that let go and kill -9 too.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = set_up(new_node('main', conf => "fsync = on\nmax_connections = 100\nrestart_after_crash = on\n"));
my $dir = PostgreSQL::Test::Utils::tempdir();

$node->safe_psql('crm', q{
	INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, total_limit) VALUES ('LIMIT', 'amount', 1, NULL, 1000);
	INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, budget) VALUES ('BUDGET', 'percent', 10, NULL, 2000);
	INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, budget, last_use) VALUES ('REST', 'percent', 10, NULL, 2000, 'remainder');
	INSERT INTO crm_member.coupon_template (template_code, kind, value, uses) VALUES ('ONCE', 'amount', 1, 1), ('THOUSAND', 'amount', 1, 1000), ('HELD', 'amount', 1, 1);
	SELECT count(crm_member.import_coupon(template_code, template_code)) FROM crm_member.coupon_template;
	INSERT INTO crm_member.coupon_template (template_code, kind, value, total_limit) VALUES ('TILL', 'amount', 1, 1000);
	SELECT crm_member.generate_coupons('TILL', 20000);
	CREATE TABLE code AS SELECT row_number() OVER () AS n, code FROM crm_member.coupon WHERE template_code = 'TILL';
	ALTER TABLE code ADD PRIMARY KEY (n);
	CREATE SEQUENCE try;
	CREATE SEQUENCE next_code;
	-- redeem the next code; fate 1 rolls it back, 2 gives it back
	CREATE FUNCTION redeem(fate int) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
	  a_code crm_member.coupon_code := (SELECT code FROM code WHERE n = (SELECT nextval('next_code')));
	BEGIN
	  IF a_code IS NULL THEN
	    RAISE EXCEPTION 'there are no codes left';
	  END IF;
	  PERFORM crm_member.redeem_coupon(a_code, '{"lines": [{"price": 5}]}', a_code::text);
	  IF fate = 1 THEN
	    RAISE EXCEPTION 'given up' USING ERRCODE = 'XXFFF';
	  ELSIF fate = 2 AND NOT crm_member.release_coupon(a_code, a_code::text) THEN
	    RAISE EXCEPTION 'not given back';
	  END IF;
	  RETURN 'redeemed';
	EXCEPTION
	  WHEN SQLSTATE 'XXFFF' THEN
	    RETURN 'given up';
	  WHEN SQLSTATE 'RM414' THEN
	    RETURN 'sold out';
	END$$;
	-- ring up a sale of n cents with a coupon; some are rolled back
	CREATE FUNCTION sell(code text, n int, fail boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
	  status text;
	BEGIN
	  SELECT a #>> '{coupons,0,status}' INTO status
	    FROM crm_member.checkout(jsonb_build_object('ref', nextval('try')::text, 'source', code, 'coupons', jsonb_build_array(code),
	           'lines', jsonb_build_array(jsonb_build_object('price', n / 100.0)))) a;
	  IF fail THEN
	    RAISE EXCEPTION 'given up' USING ERRCODE = 'XXFFF';
	  END IF;
	  RETURN status;
	EXCEPTION WHEN SQLSTATE 'XXFFF' THEN
	  RETURN 'given up';
	END$$;});

sub uses
{
	my ($code) = @_;
	return $node->safe_psql('crm', "SELECT count(*) FROM crm_member.coupon_use WHERE template_code = '$code'");
}

# 64 clients at it until a query says that it is time to kill the server
sub crash_under
{
	my ($name, $script, $time_to) = @_;
	append_to_file("$dir/$name.sql", $script);
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '64', '-j', '2', '-t', '100000', '-f', "$dir/$name.sql", $node->connstr('crm') ],
		'>', "$dir/$name.out", '2>', "$dir/$name.err");
	ok($node->poll_query_until('crm', $time_to), "$name: under way");
	crash($node);
	IPC::Run::finish($load);
	return;
}

# until the limit is reached, with every fifth sale rolled back and a crash on the way
crash_under('limit', q{
\set n random(200, 9999)
\set fail random(1, 5)
SELECT sell('LIMIT', :n, :fail = 1);
}, q{SELECT count(*) > 300 FROM crm_member.coupon_use});
my $before = uses('LIMIT');
cmp_ok($before, '<=', 1000, 'not more than the limit at the crash');
is($node->safe_psql('crm', 'SELECT uses FROM crm_member.coupon_limit WHERE template_code = $$LIMIT$$'), $before, 'and each is counted');
$node->pgbench('--no-vacuum --client=64 --jobs=2 --transactions=40', 0, [qr{2560/2560}], [qr{^$}],
	'64 clients go on at the limit', { again => q{
		\set n random(200, 9999)
		\set fail random(1, 5)
		SELECT sell('LIMIT', :n, :fail = 1);
	} }, 'crm');
is(uses('LIMIT'), '1000', 'exactly the limit is redeemed');
is($node->safe_psql('crm', 'SELECT uses, uses_left FROM crm_member.coupon_limit WHERE template_code = $$LIMIT$$'), '1000|0', 'and nothing is left');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.sale WHERE discount > 0'), '1000', 'as many sales have the discount');

# the same by redeem_coupon() with codes of one use each, some of them given back at once
crash_under('till', q{
\set fail random(1, 5)
SELECT redeem(:fail);
}, q{SELECT count(*) > 200 FROM crm_member.coupon_use WHERE template_code = 'TILL' AND returned_at IS NULL});
my $in_force = q{SELECT count(*) FROM crm_member.coupon_use WHERE template_code = 'TILL' AND returned_at IS NULL};
$before = $node->safe_psql('crm', $in_force);
cmp_ok($before, '<=', 1000, 'not more than the limit at the crash');
is($node->safe_psql('crm', 'SELECT uses, uses_left FROM crm_member.coupon_limit WHERE template_code = $$TILL$$'),
	$before . '|' . (1000 - $before), 'and each is counted');
is($node->safe_psql('crm', q{SELECT count(*) FROM crm_member.coupon c WHERE template_code = 'TILL' AND (status = 'used') <>
		EXISTS (SELECT FROM crm_member.coupon_use u WHERE u.code OPERATOR(crm_member.=) c.code AND u.returned_at IS NULL)}), '0', 'as each code knows');
$node->pgbench('--no-vacuum --client=64 --jobs=2 --transactions=40', 0, [qr{2560/2560}], [qr{^$}],
	'64 clients go on with their codes', { till => q{
		\set fail random(1, 5)
		SELECT redeem(:fail);
	} }, 'crm');
is($node->safe_psql('crm', $in_force), '1000', 'exactly the limit is redeemed');
is($node->safe_psql('crm', 'SELECT uses, uses_left FROM crm_member.coupon_limit WHERE template_code = $$TILL$$'), '1000|0', 'and nothing is left');
is($node->safe_psql('crm', q{SELECT count(*) FROM crm_member.coupon WHERE template_code = 'TILL' AND status = 'used'}), '1000', 'and as many codes are used');

# a budget by spend, with rollbacks and a crash on the way: refused what it does not cover, and its rest granted
for my $budget ('BUDGET', 'REST')
{
	my $spent = q{SELECT coalesce(sum(discount), 0) FROM crm_member.coupon_use WHERE template_code = } . "'$budget'";
	my $books = qq{SELECT l.spent = coalesce(u.spent, 0), l.uses = u.uses, l.spent + l.budget_left
		FROM crm_member.coupon_limit l, (SELECT count(*) AS uses, sum(discount) AS spent FROM crm_member.coupon_use WHERE template_code = '$budget') u
		WHERE l.template_code = '$budget'};
	crash_under(lc $budget, qq{
\\set n random(100, 9999)
\\set fail random(1, 5)
SELECT sell('$budget', :n, :fail = 1);
}, "SELECT ($spent) > 600");
	cmp_ok($node->safe_psql('crm', $spent), '<=', 2000, "$budget: not passed at the crash");
	is($node->safe_psql('crm', $books), 't|t|2000.00', 'and each redemption is in the books');
	$node->pgbench('--no-vacuum --client=64 --jobs=2 --transactions=40', 0, [qr{2560/2560}], [qr{^$}],
		"64 clients go on at the budget", { lc $budget => qq{
			\\set n random(100, 9999)
			\\set fail random(1, 5)
			SELECT sell('$budget', :n, :fail = 1);
		} }, 'crm');
	cmp_ok($node->safe_psql('crm', $spent), '>', 1999, 'it is spent');
	is($node->safe_psql('crm', $books), 't|t|2000.00', 'and not passed');
}
is($node->safe_psql('crm', q{SELECT sum(discount) FROM crm_member.coupon_use WHERE template_code = 'REST'}), '2000.00', 'to the last cent where the rest is granted');

crash_under('once', q{
\set keep random(1, 2000)
SELECT sell('ONCE', 500, :keep > 1);
}, q{SELECT nextval('try') > 8000});
cmp_ok(uses('ONCE'), '<=', 1, 'a code is not used twice at a crash');
is($node->safe_psql('crm', q{SELECT status = 'used', uses FROM crm_member.coupon WHERE template_code = 'ONCE'}), (uses('ONCE') ? 't|1' : 'f|0'), 'and knows it');
$node->pgbench('--no-vacuum --client=64 --jobs=2 --transactions=5', 0, [qr{320/320}], [qr{^$}],
	'64 clients at one code', { once => q{SELECT sell('ONCE', 500);} }, 'crm');
is(uses('ONCE'), '1', 'a code is used once');
$node->pgbench('--no-vacuum --client=64 --jobs=2 --transactions=20', 0, [qr{1280/1280}], [qr{^$}],
	'64 clients at a code of a thousand uses', { thousand => q{SELECT sell('THOUSAND', 500);} }, 'crm');
is(uses('THOUSAND'), '1000', 'it is used a thousand times');
is($node->safe_psql('crm', 'SELECT count(DISTINCT use_no), max(use_no) FROM crm_member.coupon_use WHERE template_code = $$THOUSAND$$'),
	'1000|1000', 'and each use has its number');

# carts hold the code in turn and let it time out, until one buys; with a crash on the way
$node->safe_psql('crm', q{
	CREATE FUNCTION try_hold(client int) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
	  PERFORM crm_member.hold_coupon('HELD', 'cart ' || client, '5 milliseconds');
	  RETURN true;
	EXCEPTION WHEN SQLSTATE 'RM404' OR SQLSTATE 'RM402' THEN
	  RETURN false;
	END$$});
crash_under('held', q{
\set keep random(1, 2000)
SELECT try_hold(:client_id);
SELECT sell('HELD', 500, :keep > 1);
}, q{SELECT count(*) > 300 OR EXISTS (SELECT FROM crm_member.coupon_use WHERE template_code = 'HELD')
   FROM crm_member.coupon_event WHERE act = 'hold'});
cmp_ok(uses('HELD'), '<=', 1, 'a held code is not used twice at a crash');
$node->pgbench('--no-vacuum --client=64 --jobs=2 --transactions=10', 0, [qr{640/640}], [qr{^$}],
	'64 clients hold one code and let go', { held => q{
		\set n random(1, 20)
		SELECT try_hold(:client_id);
		\sleep 2 ms
		SELECT CASE WHEN :n = 1 THEN sell('HELD', 500) END;
	} }, 'crm');
$node->safe_psql('crm', q{SELECT pg_sleep(0.02), sell('HELD', 500)});
is(uses('HELD'), '1', 'it is used once');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'the books are in order');

done_testing();
