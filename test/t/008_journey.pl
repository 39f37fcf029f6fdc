# A year of real baskets: inserted as rows and rung up one by one they give the
# same ledger, and every household the RFM scores that plain SQL gives it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $demo = "$FindBin::Bin/../demo";
my $data = "$FindBin::Bin/../data/journey";
my $node = new_node('main', conf => "fsync = off\nshared_buffers = 256MB\nwork_mem = 64MB\n");

sub run_file
{
	my ($database, @arguments) = @_;
	system_or_bail('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr($database), @arguments);
	return;
}

for my $database (qw(bulk single))
{
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING 'UTF8'");
	$node->safe_psql($database, q{
		CREATE EXTENSION crm_member;
		CALL crm_member.setup(time_zone => 'America/New_York', currency => 'USD');});
	run_file($database, '-f', "$demo/stage.sql");
	for my $table (qw(transactions products demographics))
	{
		run_file($database, '-c',
			"\\copy journey.$table FROM PROGRAM 'zcat $data/$table.csv.gz' (FORMAT csv, HEADER)");
	}
	run_file($database, '-f', "$demo/members.sql", '-f', "$demo/rules.sql", '-f', "$demo/baskets.sql");
}

run_file('bulk', '-v', "month=$_", '-f', "$demo/sales.sql") for 1 .. 12;
$node->safe_psql('single', q{
	CREATE TABLE journey.document AS
	SELECT b.sold_at, b.basket_id, jsonb_build_object('ref', b.basket_id::text, 'source', 'journey', 'member_id', b.member_id,
	  'store', b.store_id::text, 'channel', 'store', 'sold_at', b.sold_at,
	  'lines', jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line_no', l.line_no, 'sku', l.sku::text, 'category', l.category,
		'brand', l.brand, 'quantity', l.quantity, 'price', l.price, 'discount', l.discount, 'attrs', l.attrs)) ORDER BY l.line_no)) AS sale
	FROM journey.basket b JOIN journey.line l USING (sale_id)
	GROUP BY b.sold_at, b.basket_id, b.member_id, b.store_id;
	CREATE PROCEDURE ring_up() LANGUAGE plpgsql AS $$
	DECLARE d record; n int := 0;
	BEGIN
	  FOR d IN SELECT sale FROM journey.document ORDER BY sold_at, basket_id LOOP
		PERFORM crm_member.checkout(d.sale);
		n := n + 1;
		IF n % 1000 = 0 THEN COMMIT; END IF;
	  END LOOP;
	END $$;
	CALL ring_up();});

for my $database (qw(bulk single))
{
	$node->safe_psql($database, 'VACUUM ANALYZE');
	is( $node->safe_psql($database, 'SELECT count(*), count(settled_at), sum(amount), sum(payable) FROM crm_member.sale'),
		'47243|47243|274116.15|233935.24', "$database: every basket is settled");
	is($node->safe_psql($database, 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', "$database: the ledger is in order");
}

# Everything in the books, by names that do not depend on identifiers.
my %books = (
	'points by rule and line' => q{
		SELECT s.ref, b.points_type, b.rule_code, b.line_no, b.points FROM crm_member.points_by_rule b
		JOIN crm_member.sale s USING (member_id, sale_id) ORDER BY 1, 2, 3, 4, 5},
	'entries' => q{
		SELECT i.value, e.points_type, e.kind, e.points, e.at, s.ref, e.line_nos, e.line_points FROM crm_member.points_entry e
		JOIN crm_member.identity i ON i.member_id = e.member_id AND i.kind = 'external:journey'
		LEFT JOIN crm_member.sale s ON s.member_id = e.member_id AND s.sale_id = e.sale_id ORDER BY 1, 2, 5, 6, 4},
	'lots' => q{
		SELECT i.value, l.points_type, l.points, l.remaining, l.earned_at, l.available_at, l.expires_at FROM crm_member.points_lot l
		JOIN crm_member.identity i ON i.member_id = l.member_id AND i.kind = 'external:journey' ORDER BY 1, 2, 5, 3, 4, 6, 7},
	'balances' => q{
		SELECT i.value, a.points_type, a.balance FROM crm_member.points_account a
		JOIN crm_member.identity i ON i.member_id = a.member_id AND i.kind = 'external:journey' ORDER BY 1, 2},
	'sales' => q{
		SELECT ref, amount, discount, payable FROM crm_member.sale ORDER BY ref COLLATE "C"});
for my $book (sort keys %books)
{
	my $digest = qq{SELECT count(*), md5(string_agg(t::text, E'\\n')) FROM ($books{$book}) t};
	my $bulk = $node->safe_psql('bulk', $digest);
	like($bulk, qr/^[1-9]\d+\|/, "$book: there are some");
	is($node->safe_psql('single', $digest), $bulk, "$book: the same by rows and by checkout()");
}

# RFM beside plain SQL
$node->safe_psql('bulk', "CALL crm_member.run_rfm(as_of => '2017-12-31')");
my $ntile = q{
	SELECT member_id, ntile(5) OVER (ORDER BY recency DESC, member_id) * 100 + ntile(5) OVER (ORDER BY frequency, member_id) * 10
		   + ntile(5) OVER (ORDER BY monetary, member_id) AS score
	FROM (SELECT member_id, date '2017-12-31' - max((sold_at AT TIME ZONE 'America/New_York')::date) AS recency,
				 count(*) AS frequency, sum(payable) AS monetary FROM crm_member.sale GROUP BY member_id) m};
is( $node->safe_psql('bulk', qq{
		SELECT count(*), count(*) FILTER (WHERE r.score::text <> n.score::text)
		FROM crm_member.rfm r FULL JOIN ($ntile) n USING (member_id)}),
	'2377|0', 'the scores of run_rfm() are those of ntile(5) for every household');
is( $node->safe_psql('bulk', qq{
		SELECT count(*), count(*) FILTER (WHERE r.score::text <> n.score::text)
		FROM crm_member.rfm_from('SELECT member_id, sold_at, payable FROM crm_member.sale', date '2017-12-31') r
		FULL JOIN ($ntile) n ON n.member_id::text = r.member}),
	'2377|0', 'and so are those of rfm_from()');

done_testing();
