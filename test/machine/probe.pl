# What a unit's sandbox lets a program do that has been taken over. One line for each attempt: its name, and "done" or
# the system's word for no. Run it as: perl probe.pl FILE-TO-WRITE...
# It tries to write on each mount, too: one that a setting made writable on the way is easily overlooked.
use strict;
use warnings;
use Socket;

sub report {
    my ($what, $done) = @_;
    my $why = $!;
    print "$what: ", $done ? "done" : "no ($why)", "\n";
}

open(my $mounts, "<", "/proc/self/mountinfo");
my @mounts = grep { !m{^/(proc|sys|dev)(/|$)} } map { (split)[4] } <$mounts>;
my %tried;
for my $path (@ARGV, map { -d $_ ? "$_/probe" : $_ } @mounts) {
    next if $tried{$path}++;
    my $is_new = !-e $path;
    my $done = open(my $file, ">>", $path);
    report("write $path", $done);
    unlink $path if $done && $is_new;
}
for my $path ("/root/secret", "/home/user/secret", "/etc/shadow") {
    my $file;
    my $done = open($file, "<", $path) && defined(readline $file);
    report("read $path", $done);
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
