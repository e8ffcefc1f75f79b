# Tries what foreign code could do inside a unit's sandbox. Prints one line for each attempt: its name, and "done" or the
# system's error. Run it as perl probe.pl FILE. The file has a line ATTEMPT:PATH for each attempt:
#   write  opens the file for writing, or makes it
#   link   replaces the path by a symbolic link
#   move   renames the path, and renames it back
#   read   reads a byte of the file
# It also tries to write on each mount, since a setting may make one writable by accident.
use strict;
use warnings;
use Socket;

sub report {
    my ($what, $done) = @_;
    my $why = $!;
    print "$what: ", $done ? "done" : "no ($why)", "\n";
}

my %attempts = (
    write => sub {
        my ($path) = @_;
        my $is_new = !-e $path && !-l $path;
        my $done = open(my $file, ">>", $path);
        unlink $path if $done && $is_new;
        return $done;
    },
    link => sub {
        my ($path) = @_;
        my $was = -e $path || -l $path;
        return 0 if $was && !rename($path, "$path.aside");
        my $done = symlink("/etc/shadow", $path);
        unlink $path if $done;
        rename("$path.aside", $path) if $was;
        return $done;
    },
    move => sub {
        my ($path) = @_;
        return rename($path, "$path.aside") && rename("$path.aside", $path);
    },
    read => sub {
        my ($path) = @_;
        my ($file, $byte);
        return open($file, "<", $path) && read($file, $byte, 1);
    },
);

open(my $mounts, "<", "/proc/self/mountinfo");
my @mounts = grep { !m{^/(proc|sys|dev)(/|$)} } map { (split)[4] } <$mounts>;
open(my $lines, "<", $ARGV[0]) or die "$ARGV[0]: $!";
chomp(my @attempts = <$lines>);
my %tried;
for my $attempt (@attempts, map { "write:" . (-d $_ ? "$_/probe" : $_) } @mounts) {
    next if $tried{$attempt}++;
    my ($how, $path) = split(/:/, $attempt, 2);
    report("$how $path", $attempts{$how}->($path));
}
# ICMP, AF_PACKET and AF_NETLINK by their numbers, which are the same on every architecture.
report("raw socket", socket(my $raw, AF_INET, SOCK_RAW, 1));
report("packet socket", socket(my $packet, 17, SOCK_RAW, 0));
report("netlink socket", socket(my $netlink, 16, SOCK_RAW, 0));
for my $path ("/run/systemd/private", "/run/dbus/system_bus_socket") {
    my $unix;
    my $done = socket($unix, AF_UNIX, SOCK_STREAM, 0) && connect($unix, pack_sockaddr_un($path));
    report("connect to $path", $done);
}
report("run a shell", system("/bin/sh", "-c", "exit 0") == 0);
