#!/bin/sh
# Debian's SLURM, if it is not there: the daemons are not started, the test starts its own.
set -eu
programs="slurmctld slurmd sbatch srun squeue scontrol"
PATH="$PATH:/usr/sbin"
missing() { for program in $programs; do command -v "$program" >/dev/null || return 0; done; return 1; }
missing || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "make test-slurm: SLURM is not installed, and installing it needs root and apt-get:" >&2
    echo "    sudo apt-get install --no-install-recommends slurmctld slurmd slurm-client" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends slurmctld slurmd slurm-client
