# Creating, setting up and dropping the extension.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');

$node->safe_psql('postgres', "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8'");

# before anything
for my $encoding (qw(SQL_ASCII LATIN1))
{
	$node->safe_psql('postgres',
		"CREATE DATABASE \"$encoding\" TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'");
	like(refusal($node, $encoding, 'CREATE EXTENSION crm_member'),
		qr/0A000:.*UTF8/, "an error 0A000 in a database of encoding $encoding");
	is( $node->safe_psql($encoding,
			q{SELECT count(*) FROM pg_namespace WHERE nspname = 'crm_member'}),
		'0',
		'and nothing is left of it');
}

$node->safe_psql('postgres', 'CREATE DATABASE taken');
$node->safe_psql('taken', 'CREATE SCHEMA crm_member');
like(refusal($node, 'taken', 'CREATE EXTENSION crm_member'),
	qr/42P06:/, 'a schema of that name made by somebody else is not taken over');

# created, but not set up
$node->safe_psql('crm', 'CREATE EXTENSION crm_member');
like(refusal($node, 'crm', 'SELECT crm_member.new_id()'),
	qr/55000:.*setup\(\)/s, 'before setup() a function says so');

# setup
my @bad = (
	[ "time_zone => 'Mars/Olympus'", '22023' ],
	[ 'money_scale => 5',            '22023' ],
	[ 'money_scale => -1',           '22023' ],
	[ "currency => 'Euro'",          '22023' ]);
for my $case (@bad)
{
	like(refusal($node, 'crm', "CALL crm_member.setup($case->[0])"),
		qr/$case->[1]:/, "setup($case->[0]) is an error $case->[1]");
}
$node->safe_psql('crm',
	"CALL crm_member.setup(time_zone => 'Europe/Paris', money_scale => 3, currency => 'EUR')");
is($node->safe_psql('crm', 'SELECT time_zone, money_scale, currency FROM crm_member.setting'),
	'Europe/Paris|3|EUR', 'the options of setup() are the settings');
is( $node->safe_psql('crm', q{
	INSERT INTO crm_member.sale_line (sale_id, line_no, quantity, price, discount)
	VALUES (1, 1, 3, 0.3335, 0) RETURNING amount}),
	'1.001', 'money has the scale that was asked for');
$node->safe_psql('crm', 'DELETE FROM crm_member.sale_line');
like(refusal($node, 'crm', 'CALL crm_member.setup()'), qr/55000:/, 'a second setup() is refused');

done_testing();
