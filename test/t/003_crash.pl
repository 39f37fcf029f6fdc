# kill -9 in mid-load and under concurrent checkouts: after the restart nothing
# is lost and nothing is there twice.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use constant { CLIENTS => 6, SALES => 400 };

my $node = set_up(new_node('main', conf => "fsync = on\nrestart_after_crash = on\n"));
fill($node);
my $before = balances($node);
my $dir = PostgreSQL::Test::Utils::tempdir();

# A client that runs statements and writes their output to a file of its name.
sub client
{
	my ($name, $sql) = @_;
	append_to_file("$dir/$name.sql", $sql);
	return IPC::Run::start(
		[ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('crm'), '-f', "$dir/$name.sql" ],
		'>', "$dir/$name.out", '2>', "$dir/$name.err");
}

# in mid-load
my $load = q{
	SET application_name = 'load';
	BEGIN;
	CREATE TEMP TABLE incoming AS
	SELECT crm_member.member_id('external:test', (1 + i % 20)::text) AS member_id, crm_member.new_id() AS sale_id, 'L' || i AS ref
	FROM generate_series(1, 60000) i;
	INSERT INTO crm_member.sale (member_id, sale_id, source, ref) SELECT member_id, sale_id, 'load', ref FROM incoming;
	SET application_name = 'lines';
	INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, quantity, price) SELECT member_id, sale_id, 1, 1, 10 FROM incoming;
	COMMIT;};
my $psql = client('load', $load);
ok( $node->poll_query_until('crm', q{
		SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'lines' AND state = 'active'
					   AND clock_timestamp() - query_start > interval '50 ms')}),
	'the load is under way');
crash($node);
IPC::Run::finish($psql);
isnt($psql->result(0), 0, 'and was cut off');
is(balances($node), $before, 'after the crash in mid-load: balances as before it');
is($node->safe_psql('crm', q{SELECT count(*) FROM crm_member.sale WHERE source = 'load'}),
	'0', 'no sale of the load is there');
is($node->safe_psql('crm', q{SELECT count(*) FROM crm_member.sale_ref WHERE source = 'load'}),
	'0', 'and no reference');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'the ledger is in order');

$node->safe_psql('crm', $load);
is($node->safe_psql('crm', q{
		SELECT count(*), count(settled_at), sum(payable) FROM crm_member.sale WHERE source = 'load'}),
	'60000|60000|600000.00', 'the same load again is in, once');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'the ledger is in order');

# under concurrent checkouts: each client notes what was acknowledged to it
my $loaded = $node->safe_psql('crm', q{SELECT sum(balance) FROM crm_member.points_account});

sub checkouts
{
	my ($client) = @_;
	return join '', map {
		my $member = 1 + ($client * 7 + $_) % 20;
		qq{SELECT crm_member.checkout('{"ref": "$client-$_", "source": "till", "identity": {"kind": "external:test", "value": "$member"},
		   "lines": [{"line_no": 1, "sku": "A", "quantity": 1, "price": 8}]}') ->> 'ref';\n}
	} 1 .. SALES;
}

my @client = map { client("till$_", checkouts($_)) } 1 .. CLIENTS;
$node->poll_query_until('crm', q{SELECT count(*) >= 200 FROM crm_member.sale WHERE source = 'till'});
crash($node);
IPC::Run::finish($_) for @client;
my @acknowledged = map { split /\n/, slurp_file("$dir/till$_.out") } 1 .. CLIENTS;
my $written = $node->safe_psql('crm', q{SELECT count(*) FROM crm_member.sale WHERE source = 'till'});
note(@acknowledged . " checkouts acknowledged, $written written");
cmp_ok(scalar(@acknowledged), '>', 0, 'the crash came while checkouts were acknowledged');
cmp_ok(scalar(@acknowledged), '<', CLIENTS * SALES, 'and before they were done');
my $list = join ',', map { "('$_')" } @acknowledged;
is( $node->safe_psql('crm', qq{
		SELECT count(*) FROM (VALUES $list) a (ref)
		WHERE (SELECT count(*) FROM crm_member.sale s WHERE s.source = 'till' AND s.ref = a.ref) <> 1}),
	'0', 'every acknowledged checkout is there, once');
cmp_ok($written - @acknowledged, '<=', CLIENTS, 'and at most one of each client that was not acknowledged');
is( $node->safe_psql('crm', qq{SELECT sum(balance) - $loaded - 8 * $written FROM crm_member.points_account}),
	'0', 'each earned its points, once');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'the ledger is in order');

$node->safe_psql('crm', checkouts($_)) for 1 .. CLIENTS;
my $all = CLIENTS * SALES;
is( $node->safe_psql('crm', qq{
		SELECT count(*), count(DISTINCT ref) FROM crm_member.sale WHERE source = 'till'}),
	"$all|$all", 'after all clients tried everything again each sale is there once');
is( $node->safe_psql('crm', qq{SELECT sum(balance) - $loaded - 8 * $all FROM crm_member.points_account}),
	'0', 'and earned once');
is($node->safe_psql('crm', 'SELECT count(*) FROM crm_member.verify_ledger()'), '0', 'the ledger is in order');

done_testing();
