# Whether a unit is ours. An administrator's unit of the same name is left alone.
ours() {
  [ ! -e "/etc/systemd/system/$1" ]
}

# The name of a unit's file: that of cert@etcd.service is cert@.service.
file_of() {
  printf %s "$1" | sed 's/@.*\./@./'
}

stop() {
  for unit in $(systemctl list-units --all --plain --no-legend "$@" | cut -d ' ' -f 1); do
    if ours "$(file_of "$unit")" && ours "$unit"; then
      systemctl stop "$unit" || true
      systemctl --quiet reset-failed "$unit" 2>/dev/null || true
    fi
  done
}

# In this order, because earlier units would start later ones again.
stop_services() {
  stop "token-renewal.service" "cert.service" "cert@*.service" "status-metrics.service"
  stop "hooks-again@*.service"
  stop "cert-hooks.service" "cert-hooks@*.service"
  stop "retry-delay@*.service"
}
