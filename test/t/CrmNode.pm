# A server with a database that has crm_member in it, for the tests beside this file.
package CrmNode;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(new_node set_up fill refusal balances crash);

# A new running server; options as for init(), and conf => lines of postgresql.conf.
sub new_node
{
	my ($name, %option) = @_;
	my $conf = delete $option{conf} // '';
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%option);
	$node->append_conf('postgresql.conf', "max_connections = 60\n$conf");
	$node->start;
	return $node;
}

# A database "crm" in which the extension is set up.
sub set_up
{
	my ($node) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8'");
	$node->safe_psql('crm',
		"CREATE EXTENSION crm_member; CALL crm_member.setup(time_zone => 'Asia/Shanghai')");
	return $node;
}

# 20 members, rules of several kinds, and 200 sales by way of the tables.
sub fill
{
	my ($node) = @_;
	$node->safe_psql('crm', q{
		SELECT crm_member.register_member(name => 'Member ' || i, source => 'test', external_id => i::text)
		FROM generate_series(1, 20) i;

		INSERT INTO crm_member.points_rule (rule_code, condition, award, points, per, scope, expiry) VALUES
		  ('base', NULL, 'per_amount', 1, 1, 'sale', '12 months'),
		  ('shoes', $$line.category = 'shoes'$$, 'per_unit', 5, 1, 'line', 'never'),
		  ('big', $$sale.amount >= 100$$, 'fixed', 50, 1, 'sale', NULL);

		CREATE TABLE incoming AS
		SELECT crm_member.member_id('external:test', (1 + i % 20)::text) AS member_id, crm_member.new_id() AS sale_id,
		       'S' || i AS ref, now() - i * interval '1 hour' AS sold_at
		FROM generate_series(1, 200) i;
		INSERT INTO crm_member.sale (member_id, sale_id, source, ref, sold_at)
		SELECT member_id, sale_id, 'test', ref, sold_at FROM incoming;
		INSERT INTO crm_member.sale_line (member_id, sale_id, line_no, sku, category, quantity, price)
		SELECT member_id, sale_id, n, 'A' || n, (ARRAY['shoes', 'hats'])[n], n, 19.99
		FROM incoming, generate_series(1, 2) n;
		DROP TABLE incoming;
	});
}

# What a statement that must fail reports, with the SQLSTATE.
sub refusal
{
	my ($node, $database, $sql) = @_;
	my ($status, $out, $err) =
	  $node->psql($database, "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
	return $status ? $err : "no error from: $sql";
}

# Every balance, and what it is made of.
sub balances
{
	my ($node) = @_;
	return $node->safe_psql('crm', q{
		SELECT a.member_id, a.points_type, a.balance, a.entry_no,
		       (SELECT count(*) FROM crm_member.points_entry e WHERE e.member_id = a.member_id),
		       (SELECT sum(l.remaining) FROM crm_member.points_lot l WHERE l.member_id = a.member_id)
		FROM crm_member.points_account a ORDER BY 1, 2});
}

# Kill the postmaster and, as it cannot any more, all it started; then start anew.
sub crash
{
	my ($node) = @_;
	my @backends = split /\n/, $node->safe_psql('postgres',
		'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	$node->kill9;
	kill 'KILL', @backends;
	# whoever is still dying holds the shared memory
	for (1 .. 150)
	{
		# a dead postmaster that nobody has waited for would pass for a running one
		unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock';
		return if $node->start(fail_ok => 1);
		select undef, undef, undef, 0.2;
	}
	die 'the server did not start again';
}

1;
