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
$primary->safe_psql('crm', q{
	INSERT INTO crm_member.coupon_template (template_code, kind, value, uses, min_spend, total_limit, member_limit)
	VALUES ('five', 'amount', 5, NULL, 20, 10, 1), ('much', 'amount', 5, NULL, 42.5, NULL, NULL);
	SELECT crm_member.import_coupon(template_code, template_code) FROM crm_member.coupon_template;});
$primary->safe_psql('crm', "SELECT crm_member.top_up_stored_value($one, 20, 'test', 'top up')");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

for my $read (
	"SELECT $one",
	"SELECT crm_member.points_balance($one)",
	"SELECT crm_member.quote('$sale')",
	"SELECT * FROM crm_member.validate_coupon('five', '$sale')",
	"SELECT * FROM crm_member.validate_coupon('much', '$sale')",
	"SELECT codes, discount, proven FROM crm_member.best_coupons('$sale'::jsonb || '{\"coupons\": [\"much\", \"five\"]}')",
	"SELECT crm_member.stored_value_balance($one)",
	"SELECT count(*) FROM crm_member.verify_ledger()")
{
	is($standby->safe_psql('crm', $read), $primary->safe_psql('crm', $read), "the standby answers $read");
}

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

done_testing();
