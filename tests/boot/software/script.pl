use strict;
use warnings;
use utf8;
use Compress::Zlib qw(compress uncompress);
use Data::Dumper;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha1_hex sha512_hex);
use Encode qw(decode encode);
use List::Util qw(max reduce sum);
use Math::BigFloat;
use Math::BigInt;
use MIME::Base64 qw(encode_base64);
use POSIX qw(strftime);
use Storable qw(dclone freeze thaw);
use threads;
use threads::shared;
use Unicode::Normalize qw(NFD);

binmode STDOUT, ':utf8';
$| = 1;
$Data::Dumper::Sortkeys = $Data::Dumper::Indent = 1;
my $seed = 12345;
sub next_number { return $seed = ($seed * 1103515245 + 12345) % 2147483648 }

my @numbers = map { next_number() } 1 .. 5000;
print 'sorted ', md5_hex(join ' ', sort { $a <=> $b } @numbers), ' ', sha512_hex(join ',', sort @numbers), "\n";
print 'sums ', sum(@numbers), ' ', max(@numbers), ' ', (reduce { ($a * 31 + $b) % 1000000007 } @numbers), "\n";
my %letters;
$letters{$_ % 997} .= chr(97 + $_ % 26) for @numbers;
print 'hash ', sha1_hex(join '|', map { "$_=$letters{$_}" } sort keys %letters), "\n";

my $text = join ' ', map { "w$_" } @numbers[0 .. 999];
my $length = 0;
$length += length $2 while $text =~ /w(\d)(\d*?)(?=7|\s)/g;
(my $changed = $text) =~ s/(\d+)/$1 % 7 ? reverse($1) : sprintf('%x', $1)/ge;
my $nested = qr/^(\((?:[^()]|(?1))*\))$/;
print "expressions $length ", md5_hex($changed), ' ', ('(a(b)(c(d)))' =~ $nested ? 1 : 0), ('((a)' =~ $nested ? 1 : 0), "\n";

print 'big ', Math::BigInt->new(2)->bpow(521)->bsub(1), ' ', Math::BigInt->bfac(50), ' ', Math::BigFloat->bpi(50), ' ', Math::BigFloat->new(2)->bsqrt(40), "\n";
print 'numbers ', join(' ', sqrt 2, exp 1, 4 * atan2(1, 1), 1e15 + 0.3, 1 / 3, 9**20, -17 % 5, 17 % -5, int -3.7, 0x7fffffff * 2**33, 18446744073709551615, 9**9**9), "\n";
printf "formats %.17g %e %g %a %b %o %vd %5.2f|%-8s|%+d %.0f %.0f %.20f\n", 0.1, 12345.678, 1e-5, 0.1, 37, 64, '1.22.333', 2.675, 'ab', 5, 0.5, 1.5, 0.1;
print 'functions ', join(' ', map { sprintf '%.15g', sin($_) * cos($_ / 3) + log($_ + 1) } 1 .. 8), "\n";
print 'packed ', unpack('H*', pack 'w/a C n N v V q> d< f> U Z* b8 H4 s!', 'hello', 200, 5000, 70000, 513, 66051, -5, 0.1, 1.5, 0x263a, 'zs', '10110011', 'beef', -3), "\n";

my $structure = { list => [1 .. 3], hash => { a => undef, b => [\'x'] }, number => 1.5 };
print 'structure ', md5_hex(Dumper(thaw(freeze(dclone($structure))))), "\n";
print 'compressed ', md5_hex(compress($text, 9)), ' ', uncompress(compress($text)) eq $text, "\n";
print 'characters ', encode_base64(encode('UTF-16LE', "häß☺\x{1F600}"), ''), ' ', decode('UTF-8', "\xc3\xa4"), ' ', NFD('ä') eq "a\x{308}", ' ', lc 'ÄÖÜ', ' ', length "\x{1F600}", "\n";
print 'time ', strftime('%Y-%m-%d %j %U', gmtime 1700000000), "\n";

my $shared : shared = 0;
my @threads = map {
  my $id = $_;
  threads->create(sub {
    for (1 .. 200) { lock $shared; $shared += $id }
    return $id * $id;
  });
} 1 .. 4;
print 'threads ', join(',', map { $_->join } @threads), " $shared\n";
eval {
  local $SIG{ALRM} = sub { die "alarm\n" };
  alarm 1;
  1 while 1;
};
print "interrupted by $@";
my $child = open(my $pipe, '-|') // die $!;
if (!$child) {
  print "child $_\n" for 1 .. 3;
  exit 3;
}
print <$pipe>;
close $pipe;
print 'status ', $? >> 8, ' ', `echo shell \$((6*7))`;
sub fibonacci { my ($n) = @_; return $n < 2 ? $n : fibonacci($n - 1) + fibonacci($n - 2) }
print 'recursion ', fibonacci(16), "\n";
