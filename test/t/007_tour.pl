# The five-minute tour of README.md, executed: each text block is what the
# statements before it print. A line of three dots stands for any lines.
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

my $node = new_node('main');
$node->safe_psql('postgres', "CREATE DATABASE tour TEMPLATE template0 ENCODING 'UTF8'");

# One session, errors among the output where they occur, a mark after each block.
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/tour.sql", join '', map { "$_->[0]\n\\echo @@@@\n" } @step);
my $psql = join ' ', 'psql', '-X', '-q', "-d '" . $node->connstr('tour') . "'", "< $dir/tour.sql > $dir/output 2>&1";
system($psql);
my @printed = split /^@@@@\n/m, slurp_file("$dir/output");

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

done_testing();
