# No run of the version before goes on beside one of this version: they may keep their locks in different places. A run
# that is cut off leaves every file whole, and its work is done by the next.
if [ -d /run/systemd/system ]; then stop_services; fi
