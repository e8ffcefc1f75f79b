# Nothing is enabled: that is an administrator's word, or cloud-init's. Timers that are enabled go on, by the new files.
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
