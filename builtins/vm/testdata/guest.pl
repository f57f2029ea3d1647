#!/usr/bin/perl
# Stands for QEMU in the tests of the driver: a machine with a console on standard
# input and output. The last argument of the driver's own says what it is like.
use strict;
use warnings;
$| = 1;
my ($how) = map { /^mode=(.*)/ ? $1 : () } @ARGV;
sub utter { print map { s/\n/\r\n/gr } @_ }
sub hear {
    my $line = '';
    while (sysread(STDIN, my $c, 1)) {
        return $line if $c eq "\r";
        $line .= $c;
    }
    exit 0;
}
if ($how eq 'broken') { print STDERR "qemu: -device nonsense: no such device\n"; exit 1 }
utter("\e[2J\e[1;1HLoading \e[32mkernel\e[0m\n");
if ($how eq 'panic') { utter("[    1.0] Kernel panic - not syncing: VFS: no"); select(undef, undef, undef, 0.3); utter(" root\n[    1.1] ---[ end ]---\n"); sleep 60 }
if ($how eq 'off') { exit 0 }
if ($how eq 'crash') { kill 'SEGV', $$; sleep 1 }
while (1) {
    utter("\nmachine login: ");
    my $user = hear();
    utter("$user\nPassword: ");
    last if hear() =~ /^(lab|sesame-1)$/;
    utter("\nLogin incorrect\n");
}
utter("\nWelcome\n# ");
while (1) {
    my $line = hear();
    utter("$line\n"); # the echo
    utter('# ') if $how eq 'slow'; # of the command before
    if ($line eq 'poweroff') { sleep 60 if $how eq 'hangs'; exit 0 }
    # A command that is not whole yet goes on.
    $line .= "\n" . hear() while system('sh', '-c', 'sh -n -c "$1" 2>/dev/null', 'sh', $line);
    open(my $sh, '-|', 'sh', '-c', "exec 2>&1\n$line") or die;
    utter($_) while <$sh>;
    close $sh;
    utter('# ') unless $how eq 'slow';
}
