#!/usr/bin/env bash
# A Slurm of one node without systemd, munge or accounting, for as long as a command runs:
#
#     scripts/slurm_test_cluster.sh python -m pytest -m slurm tests/sweep
#
# Needs root and slurmctld, slurmd, slurm-client and slurm-wlm-basic-plugins (Debian and Ubuntu). Everything it writes
# is in a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
mkdir "$folder/state" "$folder/spool"
read -r controller node < <(python3 - <<'PORTS'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))
PORTS
)
cat > "$folder/slurm.conf" <<CONF
ClusterName=cnn-jax-test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$controller
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
PlugStackConfig=/dev/null
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=node NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$node CPUs=2 State=UNKNOWN
PartitionName=test Nodes=node Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
daemons=()
stop() {
    status=$?
    scancel --user=root 2> /dev/null || true
    # slurmd does not end before the steps of its jobs, nor these before the controller has heard of their end.
    for ((i = 0; i < 120; i++)); do [ -z "$(squeue --noheader 2> /dev/null)" ] && break; sleep 0.5; done
    kill "${daemons[@]}" 2> /dev/null || true
    for ((i = 0; i < 20; i++)); do kill -0 "${daemons[@]}" 2> /dev/null || break; sleep 0.5; done
    kill -KILL "${daemons[@]}" 2> /dev/null || true
    wait "${daemons[@]}" 2> /dev/null || true
    if [ "$status" != 0 ]; then tail --lines=20 "$folder"/*.log >&2 || true; fi
    rm -rf "$folder"
    exit "$status"
}
trap stop EXIT
slurmctld -D > /dev/null 2>&1 &
daemons+=($!)
slurmd -D -N node > /dev/null 2>&1 &
daemons+=($!)
for ((i = 0; i < 60; i++)); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && break
    sleep 0.5
done
[ "$(sinfo --noheader --format=%T)" = idle ] || { echo "the node does not come up" >&2; exit 1; }
"$@"
