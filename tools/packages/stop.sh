timers=
for name in token-renewal cert status-metrics; do
  for link in /etc/systemd/system/*.wants/$name.timer; do
    if [ -L "$link" ] && ours "${link##*/}"; then timers="$timers ${link##*/}"; fi
  done
done
for link in /etc/systemd/system/*.wants/cert@*.timer; do
  if [ -L "$link" ] && ours cert@.timer; then timers="$timers ${link##*/}"; fi
done
if [ -n "$timers" ]; then systemctl --quiet disable $timers || true; fi

if [ -d /run/systemd/system ]; then
  stop "token-renewal.timer" "cert.timer" "cert@*.timer" "status-metrics.timer"
  stop_services
  stop "cert.target"
fi
