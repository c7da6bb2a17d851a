#!/usr/bin/env bash
# Unpacks the real tools that the tests compare with into .peers/, where they are not on the PATH.
# Nothing is installed and no service starts: the packages are only downloaded and unpacked.
set -u
cd "$(dirname "$0")/.."
left_out=()
fetch() { # command package
  command -v "$1" >/dev/null && return 0
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || { left_out+=("$1"); return 0; }
  mkdir -p .peers/packages
  (cd .peers/packages && apt-get download -q "$2" >/dev/null 2>&1 && dpkg -x "$2"_*.deb ..) || left_out+=("$1 (apt-get install $2)")
}
fetch prometheus prometheus
fetch promtool prometheus
fetch prometheus-node-exporter prometheus-node-exporter
fetch prometheus-alertmanager prometheus-alertmanager
fetch amtool prometheus-alertmanager
fetch kubectl kubernetes-client
command -v docker-compose >/dev/null || left_out+=("docker-compose (apt-get install docker-compose)")
command -v gcc >/dev/null || left_out+=("gcc, which builds the stub of the GPU driver (apt-get install gcc libc6-dev)")
if [ ${#left_out[@]} -gt 0 ]; then
  printf 'left out, their tests will be skipped: %s\n' "${left_out[@]}"
fi
exit 0
