# A unit of the same name that an administrator keeps goes on.
ours() {
  [ ! -e "/etc/systemd/system/$1" ]
}

timers=
for link in /etc/systemd/system/*.wants/token-renewal.timer /etc/systemd/system/*.wants/cert.timer; do
  if [ -L "$link" ] && ours "${link##*/}"; then timers="$timers ${link##*/}"; fi
done
for link in /etc/systemd/system/*.wants/cert@*.timer; do
  if [ -L "$link" ] && ours cert@.timer; then timers="$timers ${link##*/}"; fi
done
if [ -n "$timers" ]; then systemctl --quiet disable $timers || true; fi

stop() {
  for unit in $(systemctl list-units --all --plain --no-legend "$@" | cut -d ' ' -f 1); do
    file=$(printf %s "$unit" | sed 's/@.*\./@./')
    if ours "$file" && ours "$unit"; then
      systemctl stop "$unit" || true
      systemctl --quiet reset-failed "$unit" 2>/dev/null || true
    fi
  done
}

if [ -d /run/systemd/system ]; then
  for kind in timer service target; do
    stop "token-renewal.$kind" "cert.$kind" "cert@*.$kind" "cert-hooks.$kind" "cert-hooks@*.$kind"
  done
  # After what they delay: that would run when its delay ends.
  stop "retry-delay@*.service"
fi
