# The driver of vm_test: starts QEMU and goes through the steps. It runs in the
# sandbox with perl-base alone. Arguments: NAME=VALUE options, then for each step
# +KIND and its NAME=VALUE fields; see driver.go.
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket;

$SIG{PIPE} = 'IGNORE';
STDOUT->autoflush(1);

my (%opt, @steps);
for (@ARGV) {
    if (/^\+(\w+)$/) { push @steps, {kind => $1}; next }
    my ($name, $value) = /^(\w+)=(.*)$/s or die "bad argument $_\n";
    my $to = @steps ? $steps[-1] : \%opt;
    push @{$to->{$name}}, $value;
}
sub all { @{$_[0]{$_[1]} || []} }
sub one { my ($v) = all(@_); defined $v ? $v : '' }

# Passwords come in the environment, which nothing else gets to see.
my %secret;
for my $name (grep { /^LABSTAR_SECRET_/ } keys %ENV) {
    $secret{$name} = "$ENV{$name}";
    delete $ENV{$name};
}
my $hide = join '|', map { quotemeta } sort { length $b <=> length $a } values %secret;
sub hidden {
    my ($text) = @_;
    $text =~ s/$hide/********/g if $hide ne '';
    $text;
}
sub password {
    my $name = one($_[0], 'secret');
    $name eq '' ? one($_[0], 'password') : $secret{$name};
}

my $tmp = one(\%opt, 'tmp') || '/tmp';
my $tick = POSIX::sysconf(&POSIX::_SC_CLK_TCK);
sub now { (POSIX::times())[0] / $tick }
my $end = now() + (one(\%opt, 'timeout') || 1e9);

# The console: all of it without escape sequences, and where the next step looks on.
my ($qemu, $con, $exit, $console, $at, $raw, $fresh) = (0, undef, undef, '', 0, '', 1);
my ($log, $held) = (undef, '');

# out prints without secrets. The end of what comes may be the beginning of one: it
# waits for what follows.
sub out {
    my ($text, $last) = @_;
    $text = hidden($held . $text);
    $held = '';
    for my $value ($last ? () : values %secret) {
        for (my $n = length($value) - 1; $n > length $held; $n--) {
            $held = substr($value, 0, $n) if $n <= length $text && substr($text, -$n) eq substr($value, 0, $n);
        }
    }
    substr($text, length($text) - length $held) = '';
    return if $text eq '';
    print $text;
    print $log $text if $log;
    $fresh = substr($text, -1) eq "\n";
}
sub note { out('', 1); out(($fresh ? '' : "\n") . "[labstar] $_[0]\n", 1) }

sub slurp {
    my ($file, $most) = @_;
    open(my $f, '<', $file) or return '';
    local $/;
    my $text = <$f>;
    close $f;
    $text = '' unless defined $text;
    $most && length $text > $most ? substr($text, -$most) : $text;
}
sub spew {
    my ($file, $text) = @_;
    open(my $f, '>', $file) or die "$file: $!\n";
    print $f $text;
    close $f or die "$file: $!\n";
}

sub stop {
    return unless $qemu;
    kill 'TERM', $qemu;
    for (1 .. 100) {
        return if reaped();
        select(undef, undef, undef, 0.02);
    }
    kill 'KILL', $qemu;
    waitpid($qemu, 0);
    $qemu = 0;
}
sub reaped {
    return 1 unless $qemu;
    return 0 unless waitpid($qemu, POSIX::WNOHANG()) == $qemu;
    ($exit, $qemu) = ($?, 0);
    1;
}

my ($step, $number) = ({}, 0);
sub fail {
    my ($why) = @_;
    stop();
    my $where = $number ? "step $number of " . @steps . ', ' . one($step, 'shown') . ': ' : '';
    note("failed: $where$why");
    spew('reason', hidden("$where$why\n"));
    POSIX::_exit(1);
}

# pump reads what the console has, for at most $wait seconds; false at its end.
sub pump {
    my ($wait) = @_;
    return 0 unless $con;
    return 1 unless IO::Select->new($con)->can_read($wait);
    my $n = sysread($con, my $chunk, 65536);
    return 1 if !defined $n && $!{EINTR};
    if (!$n) { $con = undef; return 0 }
    $raw .= $chunk;
    # An escape sequence may be cut: its beginning waits for the rest.
    my $rest = $raw =~ s/(\e(?:\[[0-9;?=]{0,20})?)\z// ? $1 : '';
    $raw =~ s/\e(?:\[[0-9;?=]*[A-Za-z]|[()][0-9A-Za-z]|[A-Za-z0-9=>])//g;
    $raw =~ tr/\r\0//d;
    out($raw);
    $console .= $raw;
    $raw = $rest;
    1;
}

sub lastline {
    my @lines = grep { /\S/ } split /\n/, $console;
    return @lines ? "the console's last line is \"$lines[-1]\"" : 'the console said nothing';
}

# dead is why waiting is of no use, '' if it may be.
sub dead {
    my $seen = substr($console, $at);
    for my $sign (all(\%opt, 'fatal')) {
        next unless $seen =~ /$sign/m;
        my $until = now() + 1;
        while (now() < $until && pump(0.2)) { }
        substr($console, $at) =~ /$sign/m; # its line may have come in pieces
        return "the machine said \"$&\"";
    }
    return '' if $con;
    reaped() or stop();
    my $said = slurp("$tmp/qemu.err", 2000);
    $said =~ s/\s+\z//;
    return "QEMU ended with exit code " . ($exit >> 8) . ": $said" if $exit && $exit >> 8;
    return "QEMU was ended by signal " . ($exit & 127) . ": $said" if $exit;
    return 'the machine powered off or reset';
}

# until pumps until the function gives a true value, which it returns.
sub until_true {
    my ($deadline, $late, $done) = @_;
    while (1) {
        my $got = $done->();
        return $got if $got;
        my $why = dead();
        fail("$late: $why") if $why;
        fail("$late: the time is over, and " . lastline()) if now() >= $deadline;
        pump(0.1);
    }
}
sub deadline {
    my $t = one($step, 'timeout');
    my $d = $t ? now() + $t : $end;
    $d < $end ? $d : $end;
}

sub expect {
    my ($regex, $late, $deadline) = @_;
    until_true($deadline || deadline(), $late, sub {
        pos($console) = $at;
        return undef unless $console =~ /$regex/mg;
        my @groups = map { defined $-[$_] ? substr($console, $-[$_], $+[$_] - $-[$_]) : '' } 0 .. $#+;
        $at = $+[0];
        \@groups;
    });
}

sub type {
    my ($text) = @_;
    $text =~ tr/\n/\r/;
    while ($text ne '') {
        my $why = dead();
        fail("typing: $why") if $why;
        my $n = syswrite($con, $text, 256);
        fail("typing: $!") unless defined $n;
        substr($text, 0, $n) = '';
        pump(0);
    }
}

# verify holds an exit code and an output to what the step wants of them.
sub verify {
    my ($code, $output) = @_;
    my $shown = hidden($output);
    $shown =~ s/\s+\z//;
    $shown = length $shown > 500 ? '…' . substr($shown, -500) : $shown;
    my $want = one($step, 'exit');
    fail("got exit code $code, want $want; it printed \"$shown\"") if $want ne '' && $want ne $code;
    for my $regex (all($step, 'output')) {
        fail("got output \"$shown\", want a match of $regex") unless $output =~ /$regex/m;
    }
    for my $text (all($step, 'equal')) {
        my ($got, $wanted) = ($output, $text);
        s/\s+\z// for $got, $wanted;
        fail("got output \"$shown\", want \"$wanted\"") if $got ne $wanted;
    }
}

# child runs a command while the console is read on, and returns its exit code and
# what it printed on both streams.
sub child {
    my ($deadline, $late, @command) = @_;
    my $pid = fork();
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>', "$tmp/child.out");
        open(STDERR, '>', "$tmp/child.err");
        exec(@command) or POSIX::_exit(127);
    }
    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        my $over = now() >= $deadline;
        my $why = dead();
        if ($over || $why) {
            kill 'KILL', $pid;
            waitpid($pid, 0);
            fail("$late: " . ($why || 'the time is over; it printed "' . slurp("$tmp/child.out", 500) . slurp("$tmp/child.err", 500) . '"'));
        }
        pump(0.05) or select(undef, undef, undef, 0.05);
    }
    my $status = $?;
    ($status & 127 ? 128 + ($status & 127) : $status >> 8, slurp("$tmp/child.out"), slurp("$tmp/child.err", 4000));
}

sub connected { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $_[0], Timeout => 2) }

# receive reads from a socket until a regex matches, its end or the time's.
sub receive {
    my ($socket, $deadline, $enough) = @_;
    my $got = '';
    while (now() < $deadline) {
        pump(0);
        if (IO::Select->new($socket)->can_read(0.1)) {
            my $n = sysread($socket, $got, 65536, length $got);
            return ($got, 1) unless $n;
        }
        return ($got, 0) if $enough && $got =~ /$enough/m;
        return ($got, 1) if length $got > 16 << 20;
    }
    ($got, 0);
}

my $commands = 0;
my %kinds = (
    expect => sub { expect(one($step, 'regex'), 'waiting for it') },
    send => sub { type(one($step, 'text')) },
    login => sub {
        my ($prompt, $password) = (one($step, 'prompt'), password($step));
        expect('login: ?', 'waiting for "login:"');
        type(one($step, 'user') . "\n");
        if ($password ne '') {
            expect('[Pp]assword: ?', 'waiting for "Password:"');
            type("$password\n");
        }
        my $got = expect("(Login incorrect)|$prompt", "waiting for a prompt ($prompt)");
        fail('the login was refused ("Login incorrect")') if $got->[1] ne '';
    },
    run => sub {
        my $n = ++$commands;
        (my $quoted = one($step, 'command')) =~ s/'/'\\''/g;
        # The quotes in the words keep the echo of what is typed from matching. On a slow
        # machine the echo comes before the prompt, and what the command says behind that.
        type(qq{echo "labstar-""begin-$n"; (eval '$quoted'); echo "labstar-""end-$n \$?"\n});
        expect("labstar-begin-$n\$", 'waiting for the shell to start it');
        my $got = expect("\\n?((?s:.*?))labstar-end-$n (\\d+)\$", 'waiting for its end');
        my $output = $got->[1];
        $output =~ s/^\n//;
        verify($got->[2], $output);
    },
    ssh => sub {
        my $deadline = deadline();
        my @ssh = ('ssh', '-F', 'none', '-p', one($step, 'port'), '-l', one($step, 'user'));
        push @ssh, '-o', $_ for qw(StrictHostKeyChecking=no UserKnownHostsFile=/dev/null LogLevel=ERROR ConnectTimeout=10 NumberOfPasswordPrompts=1);
        if (my $key = one($step, 'key')) {
            spew("$tmp/ssh-key", slurp($key));
            chmod 0600, "$tmp/ssh-key";
            push @ssh, '-i', "$tmp/ssh-key", '-o', 'IdentitiesOnly=yes', '-o', 'PreferredAuthentications=publickey';
        } else {
            spew("$tmp/askpass", "#!/bin/sh\nprintf '%s\\n' \"\$LABSTAR_SSH_PASSWORD\"\n");
            chmod 0700, "$tmp/askpass";
            $ENV{LABSTAR_SSH_PASSWORD} = password($step);
            @ENV{qw(SSH_ASKPASS SSH_ASKPASS_REQUIRE DISPLAY)} = ("$tmp/askpass", 'force', ':0');
            push @ssh, '-o', 'PreferredAuthentications=password,keyboard-interactive';
        }
        while (1) {
            my ($code, $output, $errors) = child($deadline, 'waiting for ssh', @ssh, '127.0.0.1', one($step, 'command'));
            # 255 is ssh's own; until sshd listens the connection is closed.
            if ($code == 255 && $errors =~ /refused|reset by peer|closed by|timed out|identification|Broken pipe/i && now() + 1 < $deadline) {
                my $again = now() + 0.5;
                pump(0.1) || last while now() < $again;
                next;
            }
            $errors =~ s/\s+\z//;
            fail("ssh failed: $errors") if $code == 255 && $errors =~ /Permission denied|Connection|key|banner|identification/i;
            out($fresh ? '' : "\n");
            out($output . ($errors eq '' ? '' : "$errors\n"));
            return verify($code, $output);
        }
    },
    tcp => sub {
        my ($deadline, $banner, $last) = (deadline(), one($step, 'banner'), 'nothing listens');
        my $fails = sub { my $why = dead(); fail("$last: $why") if $why; fail("the time is over: $last") if now() >= $deadline };
        while (1) {
            if (my $s = connected(one($step, 'port'))) {
                syswrite($s, one($step, 'send')) if one($step, 'send') ne '';
                # QEMU takes every connection, and closes it at once if the guest refuses.
                my $patience = now() + ($banner eq '' ? 1 : 10);
                my ($got, $closed) = receive($s, $patience < $deadline ? $patience : $deadline, $banner eq '' ? undef : $banner);
                return if $banner eq '' ? (!$closed || $got ne '') : $got =~ /$banner/m;
                $last = $got eq '' ? 'the connection was closed' : 'got "' . substr($got, 0, 300) . "\", want a match of $banner";
            }
            $fails->();
            pump(0.2) or select(undef, undef, undef, 0.2);
        }
    },
    http => sub {
        my ($deadline, $last) = (deadline(), 'nothing listens');
        my $request = join("\r\n", one($step, 'method') . ' ' . one($step, 'path') . ' HTTP/1.0', all($step, 'header'), '', one($step, 'data'));
        while (1) {
            my $got = '';
            if (my $s = connected(one($step, 'port'))) {
                syswrite($s, $request);
                ($got) = receive($s, $deadline);
            }
            if ($got =~ m{^HTTP/1\.\d (\d+)([^\r\n]*)\r?\n(.*?)\r?\n\r?\n(.*)\z}s) {
                my ($status, $headers, $body) = ($1, $3, $4);
                $headers =~ tr/\r//d;
                my $want = one($step, 'status');
                $last = "got status $status$2, want $want";
                if ($status eq $want) {
                    for my $regex (all($step, 'body')) {
                        fail('got the body "' . substr($body, 0, 500) . "\", want a match of $regex") unless $body =~ /$regex/m;
                    }
                    for my $regex (all($step, 'headers')) {
                        fail("got the headers \"$headers\", want a match of $regex") unless $headers =~ /$regex/mi;
                    }
                    return;
                }
                fail($last) if $status < 500;
            } elsif ($got ne '') {
                $last = 'got "' . substr($got, 0, 200) . '", want an HTTP answer';
            }
            my $why = dead();
            fail("$last: $why") if $why;
            fail("the time is over: $last") if now() >= $deadline;
            pump(0.2) or select(undef, undef, undef, 0.2);
        }
    },
    poweroff => sub {
        my $deadline = deadline();
        if (one($step, 'command') ne '') {
            type(one($step, 'command') . "\n");
        } else {
            my $monitor = IO::Socket::UNIX->new(Peer => "$tmp/monitor") or fail("reaching QEMU's monitor: $!");
            syswrite($monitor, "system_powerdown\n");
            my $until = now() + 0.5;
            pump(0.1) while now() < $until && $con;
        }
        while (pump(0.1)) {
            next if now() < $deadline;
            fail('the machine is still on: the time is over, and ' . lastline());
        }
        for (1 .. 250) { last if reaped(); select(undef, undef, undef, 0.02) }
        fail('QEMU does not end') if $qemu;
        fail(dead()) if $exit;
    },
);

# image_format tells what kind of image a file is.
sub image_format {
    my ($file) = @_;
    open(my $f, '<', $file) or die "$file: $!\n";
    read($f, my $magic, 4);
    close $f;
    return $magic eq "QFI\xfb" ? 'qcow2' : $magic eq 'KDMV' ? 'vmdk' : 'raw';
}

# try_kvm runs the smallest of guests, with the machine's own processor, and
# reports whether KVM carries it through: a device node is no promise.
sub try_kvm {
    my @kvm = ('-accel', 'kvm', '-cpu', 'host', '-nodefaults', '-display', 'none', '-m', '64', '-no-reboot');
    my ($sign, @machine);
    if (one(\%opt, 'arch') eq 'x86_64') {
        # mov dx, 0x501; mov al, 42; out dx, al; hlt: QEMU exits with 2 * 42 + 1.
        spew("$tmp/trial", pack('C*', 0xba, 0x01, 0x05, 0xb0, 0x2a, 0xee, 0xf4, 0xeb, 0xfd) . "\0" x 501 . "\x55\xaa");
        ($sign, @machine) = (85, '-device', 'isa-debug-exit,iobase=0x501,iosize=1', '-drive', "file=$tmp/trial,format=raw,if=ide");
    } else {
        # PSCI's SYSTEM_OFF: mov w0, #0x84000008; hvc #0.
        spew("$tmp/trial", pack('V*', 0x52b08000, 0x72800100, 0xd4000002, 0x14000000));
        ($sign, @machine) = (0, '-M', 'virt', '-kernel', "$tmp/trial");
    }
    my $pid = fork();
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        open(STDOUT, '>', '/dev/null');
        open(STDERR, '>', "$tmp/trial.err");
        exec(one(\%opt, 'program'), @kvm, @machine) or POSIX::_exit(127);
    }
    my $until = now() + 3;
    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        if (now() > $until) {
            kill 'KILL', $pid;
            waitpid($pid, 0);
            return 'a guest of ten bytes did not end within 3 s';
        }
        select(undef, undef, undef, 0.01);
    }
    return '' if $? == $sign << 8;
    my ($why) = slurp("$tmp/trial.err") =~ /([^\n]+)\n?\z/;
    $why = '' unless defined $why;
    $why =~ s/^qemu\S*: //;
    'a guest of ten bytes failed on it' . ($why eq '' ? '' : " ($why)");
}

sub accelerator {
    my $want = one(\%opt, 'accel');
    my $native = (POSIX::uname())[4];
    $native = 'arm64' if $native eq 'aarch64';
    my $why = $want eq 'tcg' ? 'asked for' : $native ne one(\%opt, 'arch') ? "this machine is $native" : !-e '/dev/kvm' ? 'there is no /dev/kvm that this user may open' : try_kvm();
    return ('tcg', $why) if $why ne '';
    ('kvm', '');
}

sub arguments {
    my ($accel) = @_;
    my @args = ('-accel', $accel eq 'tcg' ? 'tcg,tb-size=256' : $accel, '-cpu', one(\%opt, "cpu_$accel"));
    for my $given (all(\%opt, 'qemu')) {
        (my $arg = $given) =~ s/\@format\((.*?)\)/image_format($1)/ge;
        push @args, $arg;
    }
    @args;
}

sub start {
    my ($accel) = @_;
    socketpair($con, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!\n";
    $qemu = fork();
    die "fork: $!\n" unless defined $qemu;
    if (!$qemu) {
        close $con;
        open(STDIN, '<&', $theirs) or die "stdin: $!\n";
        open(STDOUT, '>&', $theirs) or die "stdout: $!\n";
        open(STDERR, '>', "$tmp/qemu.err") or die "stderr: $!\n";
        close $theirs;
        exec(one(\%opt, 'program'), arguments($accel), '-serial', 'stdio', '-monitor', "unix:$tmp/monitor,server=on,wait=off")
            or do { print STDERR "$!\n"; POSIX::_exit(127) };
    }
    close $theirs;
}

# kvm_failed reports whether QEMU gave up because of KVM before the guest said a word.
sub kvm_failed {
    pump(0.1) while $con && $console eq '' && now() < $_[0];
    return 0 if $console ne '' || $con;
    stop() unless reaped();
    $exit && slurp("$tmp/qemu.err") =~ /kvm/i;
}

# forward leads what connects to a socket in the shared folder to a port of the
# guest, until the sandbox ends: its network has no other way out.
sub forward {
    my ($guest, $port) = @_;
    return if fork();
    my $listener = IO::Socket::UNIX->new(Local => "/host/port-$guest", Listen => 16) or die "port $guest: $!\n";
    $SIG{CHLD} = 'IGNORE';
    while (1) {
        my $here = $listener->accept or next;
        next if fork();
        my $there = connected($port) or POSIX::_exit(0);
        my $both = IO::Select->new($here, $there);
        while (my @ready = $both->can_read) {
            for my $from (@ready) {
                my $to = $from == $here ? $there : $here;
                my $chunk;
                if (!sysread($from, $chunk, 65536)) {
                    $both->remove($from);
                    shutdown($to, 1);
                    POSIX::_exit(0) unless $both->count;
                    next;
                }
                while ($chunk ne '') {
                    my $n = syswrite($to, $chunk);
                    POSIX::_exit(0) unless $n;
                    substr($chunk, 0, $n) = '';
                }
            }
        }
        POSIX::_exit(0);
    }
}

for (@steps) {
    ($step, $number) = ($_, $number + 1);
    for my $field (qw(regex prompt output banner body headers)) {
        for my $regex (all($step, $field)) {
            eval { qr/$regex/m } or fail("compiling the regular expression $regex: $@");
        }
    }
}
$number = 0;
for (all(\%opt, 'copy')) {
    my ($from, $to) = /^(.*)>(.*)$/;
    spew($to, slurp($from));
}
for (all(\%opt, 'blank')) {
    my ($size, $file) = /^(\d+)>(.*)$/;
    spew($file, '');
    truncate($file, $size) or die "$file: $!\n";
}
# What a machine writes to its disks goes here; QEMU takes /var/tmp for /tmp itself.
mkdir "$tmp/qemu";
$ENV{TMPDIR} = "$tmp/qemu";
my ($accel, $why) = accelerator();
if (one(\%opt, 'interactive')) {
    print STDERR "[labstar] QEMU without KVM, which is slower: $why\n" if $accel eq 'tcg';
    forward(/^(\d+):(\d+)$/) for all(\%opt, 'forward');
    $SIG{PIPE} = 'DEFAULT';
    exec(one(\%opt, 'program'), arguments($accel), '-serial', 'mon:stdio') or die one(\%opt, 'program') . ": $!\n";
}
open($log, '>', 'console') or die "console: $!\n";
$log->autoflush(1);
note($accel eq 'kvm' ? 'QEMU with KVM' : "QEMU without KVM: $why");
start($accel);
if ($accel eq 'kvm' && kvm_failed(now() + 2)) {
    note('QEMU without KVM: with it QEMU gave up: ' . slurp("$tmp/qemu.err", 300));
    start('tcg');
}
for (@steps) {
    ($step, $number) = ($_, $number + 1);
    note("step $number of " . @steps . ': ' . one($step, 'shown'));
    $kinds{$step->{kind}}->();
}
pump(0.1) if $con; # what is on its way
stop();
note('passed');
spew('result', one(\%opt, 'result'));
POSIX::_exit(0);
