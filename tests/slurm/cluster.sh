#!/usr/bin/env bash
# A SLURM of two nodes on this machine, for the tests.
#   cluster.sh start | stop
#   cluster.sh run COMMAND ...   with the cluster that is there, or one that is started and stopped for it
# Its state is in VAE_SLURM_DIR (default: /tmp/vae-slurm), its ports are VAE_SLURM_PORT (17000) and the next two.
set -euo pipefail

DIR=${VAE_SLURM_DIR:-/tmp/vae-slurm}
PORT=${VAE_SLURM_PORT:-17000}

refuse() {
  echo "cluster.sh: $1" >&2
  exit 1
}

packages() {
  type slurmctld slurmd munged sbatch >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || refuse "SLURM is not installed, and only root can install it: apt-get install slurm-wlm munge"
  type apt-get >/dev/null 2>&1 || refuse "SLURM is not installed, and there is no apt-get; install slurmctld, slurmd and munge"
  apt-get update -qq >"$DIR/apt.log" 2>&1 || true # an outdated list may do
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends slurm-wlm munge >>"$DIR/apt.log" 2>&1 ||
    refuse "slurm-wlm and munge could not be installed; see $DIR/apt.log"
}

configuration() {
  local host memory
  host=$(hostname -s) memory=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
  cat <<CONF
ClusterName=vae
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket
CredType=cred/munge
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/%n
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.%n.pid
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MaxArraySize=250
ReturnToService=2
KillWait=30
JobRequeue=1
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + 1)) CPUs=4 RealMemory=$memory Gres=gpu:4
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + 2)) CPUs=4 RealMemory=$memory Gres=gpu:4
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
}

running() { [ -f "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

start() {
  [ "$(id -u)" = 0 ] || refuse "only root can start slurmd; run it as root, or point SLURM_CONF to a cluster that is there"
  mkdir -p -m 755 "$DIR" "$DIR/state"
  packages
  export SLURM_CONF="$DIR/slurm.conf"
  configuration >"$SLURM_CONF"
  echo 'NodeName=n[1-2] Name=gpu File=/dev/null,/dev/zero,/dev/full,/dev/random' >"$DIR/gres.conf" # stand for GPUs
  [ -f "$DIR/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$DIR/munge.key")
  running "$DIR/munge.pid" || munged --force --socket="$DIR/munge.socket" --key-file="$DIR/munge.key" \
    --log-file="$DIR/munge.log" --pid-file="$DIR/munge.pid" --seed-file="$DIR/munge.seed" --num-threads=2
  running "$DIR/slurmctld.pid" || slurmctld -c
  for node in n1 n2; do
    mkdir -p "$DIR/$node"
    running "$DIR/slurmd.$node.pid" || slurmd -N "$node"
  done
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --states=idle,mixed,alloc --Node --format=%N 2>/dev/null | wc -l)" = 2 ] && return
    sleep 0.5
  done
  refuse "the nodes did not come up; see $DIR/slurmctld.log and $DIR/slurmd.n1.log"
}

stop() {
  for daemon in slurmd.n1 slurmd.n2 slurmctld munge; do
    if running "$DIR/$daemon.pid"; then kill "$(cat "$DIR/$daemon.pid")"; fi
  done
  for _ in $(seq 40); do
    running "$DIR/slurmctld.pid" || running "$DIR/slurmd.n1.pid" || running "$DIR/slurmd.n2.pid" || break
    sleep 0.25
  done
  rm -rf "$DIR"
}

run() {
  if ! timeout 10 sinfo >/dev/null 2>&1; then
    trap stop EXIT
    start
  fi
  "$@"
}

case ${1:-} in
start | stop) "$1" ;;
run) "$@" ;;
*) refuse "usage: cluster.sh start | stop | run COMMAND ..." ;;
esac
