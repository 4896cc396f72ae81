#!/usr/bin/env bash
# Install the services that the tests start, where that can be done without asking: as root on Debian and its kin.
# Silent and quick when all are there; elsewhere it does nothing, and the tests say what they miss.
#
# A line of `wanted` is a program and the package that brings it; add a line for another service.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

wanted() {
  cat <<'LIST'
/usr/lib/postgresql/*/bin/initdb  postgresql
ip                                iproute2
munged                            munge
slurmctld                         slurmctld
slurmd                            slurmd
slurmdbd                          slurmdbd
sbatch                            slurm-client
mariadbd                          mariadb-server-core
my_print_defaults                 mariadb-client-core
LIST
}

missing() {
  local program package
  while read -r program package; do
    # shellcheck disable=SC2086 - a pattern is meant
    case $program in
      /*) compgen -G "$program" >/dev/null || echo "$package" ;;
      *) command -v "$program" >/dev/null || echo "$package" ;;
    esac
  done < <(wanted) | sort -u
}

packages=$(missing)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi

log=$(mktemp /tmp/batchml-install.XXXXXX)
policy=/usr/sbin/policy-rc.d made=
# Installing must not start anything: programs are wanted, no service of the machine.
if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=1; fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null >>"$log" 2>&1; }

echo "installing for the tests:" $packages >&2
apt update || true # an older list may do
case " $(echo $packages) " in
  *" postgresql "*) # without Debian's own cluster
    apt install -y --no-install-recommends postgresql-common &&
      mkdir -p /etc/postgresql-common/createcluster.d &&
      echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/batchml.conf || true
    ;;
esac
# One by one: what one lacks must not keep the others out.
for package in $packages; do
  apt install -y --no-install-recommends "$package" || {
    tail -n 3 "$log" >&2
    echo "could not install $package (see $log); the tests that need it will say so" >&2
  }
done
