# Starts the services of active timers, which may have missed a run meanwhile. A service that was started while the files
# were being replaced is restarted.
if [ -d /run/systemd/system ]; then
  for timer in $(systemctl list-units --plain --no-legend --state=active "token-renewal.timer" "cert.timer" "cert@*.timer" "status-metrics.timer" | cut -d ' ' -f 1); do
    service=${timer%.timer}.service
    if ours "$(file_of "$service")" && ours "$service" && ours "$(file_of "$timer")" && ours "$timer"; then
      systemctl --no-block restart "$service" || true
    fi
  done
fi
