# Where the units' sandbox is mounted, made by them. /etc/vault stays where something is in it: the host's token is
# nowhere else, and the certificates' keys are in use.
rm -rf --one-file-system /var/lib/vault-helper
