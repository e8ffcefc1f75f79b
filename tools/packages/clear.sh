# The units made this folder to mount their sandbox. /etc/vault stays unless it is empty: nothing else holds the host
# token, and the certificates' keys are in use.
rm -rf --one-file-system /var/lib/vault-helper
