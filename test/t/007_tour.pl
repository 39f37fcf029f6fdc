# README.md, executed. In the five-minute tour each text block is what the
# statements before it print; a line of three dots stands for any lines. In the
# other chapters each statement runs, and prints first what a comment at the end
# of its line says, where that is a number or a truth value.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use CrmNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file("$FindBin::Bin/../../README.md");
my ($tour) = $readme =~ /^## Five-minute tour\n(.*?)(?=^## |\z)/ms
  or die 'README.md has no "Five-minute tour"';

my $node = new_node('main');
my $dir = PostgreSQL::Test::Utils::tempdir();

# What each of these scripts prints in one session, errors where they occur.
sub session
{
	my ($database, @script) = @_;
	unlink "$dir/script.sql";
	append_to_file("$dir/script.sql", join '', map { "$_\n\\echo @@@@\n" } @script);
	system("cd $dir && psql -X -q -d '" . $node->connstr($database) . "' < script.sql > output 2>&1");
	return split /^@@@@\n/m, slurp_file("$dir/output"), -1;
}

# The blocks in order: [ statements, expected output or undef ]
my @step;
while ($tour =~ /^```(sql|text)\n(.*?)^```$/msg)
{
	my ($kind, $body) = ($1, $2);
	if ($kind eq 'sql')
	{
		push @step, [ $body, undef ];
	}
	else
	{
		die "a text block follows no sql block:\n$body" if !@step || defined $step[-1][1];
		$step[-1][1] = $body;
	}
}

$node->safe_psql('postgres', "CREATE DATABASE tour TEMPLATE template0 ENCODING 'UTF8'");
my @printed = session('tour', map { $_->[0] } @step);

sub plain
{
	my ($text) = @_;
	$text =~ s/[ \t]+$//mg;
	$text =~ s/\n+\z/\n/;
	return $text;
}

cmp_ok(scalar(@step), '>', 3, 'there is a tour');
for my $n (0 .. $#step)
{
	my ($sql, $text) = @{ $step[$n] };
	my $printed = plain($printed[$n] // '');
	my ($first) = $sql =~ /^(.*)$/m;
	if (!defined $text)
	{
		unlike($printed, qr/^(psql:.*)?(ERROR|FATAL)/m, "runs: $first");
	}
	elsif ($text =~ /^\.\.\.$/m)
	{
		my $pattern = join '(?:.*\n)*?', map { quotemeta } split /^\.\.\.\n/m, plain($text);
		like($printed, qr/\A$pattern\z/, "prints what it says: $first");
	}
	else
	{
		is($printed, plain($text), "prints what it says: $first");
	}
}

# The examples of the other chapters, each chapter in a database of its own, with
# two members and what the examples take for granted.
$node->safe_psql('postgres', "CREATE DATABASE chapter TEMPLATE template0 ENCODING 'UTF8'");
$node->safe_psql('chapter', q{
	CREATE EXTENSION crm_member;
	CALL crm_member.setup();
	CREATE SCHEMA erp;
	CREATE TABLE erp.ticket AS SELECT '1'::text AS number, 'S01'::text AS store, now() AS sold_at, '13812345678'::text AS mobile;
	CREATE TABLE erp.orders AS SELECT 'C1'::text AS customer_no, date '2026-06-01' AS order_date, 9.90 AS total;
	CREATE TABLE supplier AS SELECT 1 AS id, '晨光文具(上海)'::text AS name, '漕溪路251号5-1203'::text AS address, '02112345678'::text AS phone, '上海'::text AS city;});
my $given = q{
SET search_path = crm_member, public;
SELECT register_member(name => '张三', mobile => '13812345678') AS zhang, register_member(name => '李娜') AS li \gset
};

for my $chapter (split /^(?=## )/m, $readme)
{
	my ($title) = $chapter =~ /\A## (.*)\n/ or next;
	# the tour has been made; pg_cron is in another test
	next if $title eq 'Five-minute tour' || $title eq 'Jobs';
	my @example = $chapter =~ /^```sql\n(.*?^```\n(?:```\n.*?^```$)?)/msg or next;
	# this one registers the members by itself
	my $begin = $title eq 'Members and cards' ? 'SET search_path = crm_member, public;' : $given;
	$node->safe_psql('postgres', 'CREATE DATABASE example TEMPLATE chapter');
	my (undef, @output) = session('example', $begin,
		map { "\\pset tuples_only on\n\\pset format unaligned\n" . s/^```.*//msr } @example);
	for my $n (0 .. $#example)
	{
		my $name = "$title, example " . ($n + 1);
		my $output = $output[$n] // "ERROR: did not run\n";
		my @expected = $example[$n] =~ /ERROR:/g;
		my @errors = $output =~ /^(?:psql:.*)?ERROR:/mg;
		is(scalar(@errors), scalar(@expected), "$name runs") or diag($output);
		for my $value ($example[$n] =~ /;[ \t]+-- (\d+(?:\.\d+)?|true|false)\b/g)
		{
			my $line = $value =~ /^[tf]/ ? substr($value, 0, 1) : $value;
			like($output, qr/^\Q$line\E$/m, "$name prints $value");
		}
	}
	$node->safe_psql('postgres', 'DROP DATABASE example');
}

# What it must name.
my %named = map { $_ => 1 } $readme =~ /\w+/g;
my @relation = split /\n/, $node->safe_psql('chapter',
	"SELECT relname FROM pg_class WHERE relnamespace = 'crm_member'::regnamespace AND relkind IN ('r', 'v')");
cmp_ok(scalar(@relation), '>', 100, 'there are tables and views');
is(join(' ', grep { !$named{$_} } @relation), '', 'and each is named');
my $errors = slurp_file("$FindBin::Bin/../../src/errors.h");
my %raised = map { ("RM$_" =~ s/[', ]//gr) => 1 } $errors =~ /\sCRM_STATE\(((?:'.'(?:, )?){3})\)/g;
my ($table) = $readme =~ /^## SQLSTATEs\n(.*?)^## /ms;
is(join(' ', $table =~ /^\| (RM\d{3}) \|/mg), join(' ', sort keys %raised), 'the table of SQLSTATEs is that of errors.h');

done_testing();
