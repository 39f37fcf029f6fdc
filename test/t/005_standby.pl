# On a hot standby reading works, writing is refused.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = set_up(new_node('primary', allows_streaming => 1));
fill($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $one = q{crm_member.member_id('external:test', '1')};
my $sale = '{"ref": "N1", "source": "test", "identity": {"kind": "external:test", "value": "1"},
			 "sold_at": "2026-05-01 10:00+08", "lines": [{"line_no": 1, "sku": "A1", "quantity": 1, "price": 30}]}';
$primary->safe_psql('crm', "SELECT crm_member.award_points($one, 11, 'test', 'late')");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

for my $read (
	"SELECT $one",
	"SELECT crm_member.points_balance($one)",
	"SELECT crm_member.quote('$sale')",
	"SELECT count(*) FROM crm_member.verify_ledger()")
{
	is($standby->safe_psql('crm', $read), $primary->safe_psql('crm', $read), "the standby answers $read");
}

for my $write (
	'SELECT crm_member.new_id()',
	"SELECT crm_member.checkout('$sale')",
	"SELECT crm_member.award_points($one, 1, 'test', 'x')",
	"SELECT crm_member.spend_points($one, 1, 'test', 'y')",
	"SELECT crm_member.register_member(name => 'Z')")
{
	like(refusal($standby, 'crm', $write), qr/25006:/, "the standby refuses $write");
}

done_testing();
