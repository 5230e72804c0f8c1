# Makes a throw-away machine out of this one: what is on its disk, seen through an overlay in memory, with processes,
# mounts, host name and control groups of its own. Nothing that happens in it reaches the real disk. The network is
# the real one, so that servers on the loopback are there.
# Usage: unshare --mount --pid --fork --kill-child --uts --ipc sh machine.sh FOLDER NAME INIT CHECKOUT
#   INIT is `systemd` (a real one, as process 1, that starts nothing by itself) or `none`.
# Writes nothing to FOLDER but what it mounts there. The machine is up when FOLDER/up/ready exists in its root.
set -eu
folder=$1 name=$2 init=$3 checkout=$4

stage_cgroup() {
  # systemd takes the top of what it sees of the control groups: a group of its own, so that it is not the real one.
  mount -t cgroup2 none "$folder"
  own=$(sed -n 's/^0:://p' /proc/self/cgroup)
  mkdir "$folder$own/$name"
  echo 0 >"$folder$own/$name/cgroup.procs"
  umount "$folder"
  exec unshare --cgroup sh "$0" "$folder" "$name" "$init" "$checkout" root
}

stage_root() {
  mount -t tmpfs -o mode=755 machine "$folder"
  mkdir "$folder/up" "$folder/work" "$folder/root"
  mount -t overlay -o "lowerdir=/,upperdir=$folder/up,workdir=$folder/work" machine "$folder/root"
  cd "$folder/root"
  mount -t proc proc proc
  mount --bind proc/sys proc/sys
  mount -o remount,bind,ro proc/sys
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 none sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs run
  # The checkout may lie on a file system of its own or below /tmp: bound before /tmp is covered.
  mkdir run/checkout
  mount --bind "$checkout" run/checkout
  mount -t tmpfs -o mode=1777 tmpfs tmp
  mkdir -p "./$checkout"
  mount --bind run/checkout "./$checkout"
  mount -o remount,bind,ro "./$checkout"
  make_devices
  forget_what_was_here
  hostname "$name"
  mkdir gone
  pivot_root . gone
  umount -l /gone
  cd /
  touch /ready
}

make_devices() {
  mount -t tmpfs -o mode=755 tmpfs dev
  mknod -m 666 dev/null c 1 3
  mknod -m 666 dev/zero c 1 5
  mknod -m 666 dev/full c 1 7
  mknod -m 666 dev/random c 1 8
  mknod -m 666 dev/urandom c 1 9
  mknod -m 666 dev/tty c 5 0
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
  mount -t tmpfs -o mode=1777 tmpfs dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
}

# Services, timers and cron jobs of the real machine, and an agent that it may have.
forget_what_was_here() {
  rm -rf opt/restic-manager etc/restic-manager var/lib/restic-manager usr/local/bin/restic-manager-agent
  rm -rf etc/systemd/system usr/lib/systemd/system-generators etc/fstab etc/cron.d var/spool/cron/crontabs
  rm -rf usr/lib/systemd/system/*.wants
  mkdir -p etc/systemd/system etc/cron.d var/spool/cron/crontabs
  mkdir -p etc/systemd/system/multi-user.target.wants
  ln -s /usr/lib/systemd/system/systemd-journald.service etc/systemd/system/multi-user.target.wants/
  if [ "$init" = systemd ]; then mkdir -p run/systemd/system; fi
}

case "${5:-}$init" in
root*) stage_root ;;
systemd) stage_cgroup ;;
*)
  mount --make-rprivate /
  stage_root
  ;;
esac
if [ "$init" = systemd ]; then
  exec env -i container=restic-manager-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/lib/systemd/systemd --system --unit=multi-user.target --show-status=0
fi
while :; do sleep 3600; done
