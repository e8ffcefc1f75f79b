# Stops runs of the old version: runs of both versions may keep their locks in different places. A run that is cut off
# leaves no file half written, and the next run does its work.
if [ -d /run/systemd/system ]; then stop_services; fi
