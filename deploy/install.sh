#!/bin/sh
# Installs, upgrades or removes the agent of restic-manager on this host. POSIX sh; needs root and curl (or GNU wget).
#
#   curl -fsSL https://SERVER/install/install.sh | RM_SERVER=https://SERVER RM_TOKEN=TOKEN \
#     sudo --preserve-env=RM_SERVER,RM_TOKEN sh
#   sh install.sh [install] [--server URL] [--hostname NAME] [--ca-file FILE] [--release-key FILE] [--force]
#   sh install.sh uninstall [--purge]
#
# The token goes by the environment only: arguments can be read by every user of this host. Without a token the host
# announces itself, and somebody accepts it at the server. A second run upgrades in place and keeps the enrolment.
#
#   RM_SERVER       the server's address, https://…
#   RM_TOKEN        the one-time token of "Add host"
#   RM_HOSTNAME     another name than the machine's own
#   RM_CA_FILE      PEM: what signs the server's certificate, when this system does not know it
#   RM_CERT_PIN     sha256:<hex> of the server's certificate, taken instead of a CA file: the one that this script
#                   believes, and kept for the agent, which believes it beside the system's authorities
#   RM_RELEASE_KEY  PEM: the public key that the downloads must be signed with
#
# Everything is a function and the last line starts it, so that half a download does nothing.
set -eu
umask 022

readonly MINIMUM_RESTIC=0.18.0
readonly NEEDED_MIB=400
readonly TOP=/opt/restic-manager
readonly BIN=$TOP/bin
readonly AGENT=$BIN/restic-manager-agent
readonly CONFIG_DIR=/etc/restic-manager
readonly STATE_DIR=/var/lib/restic-manager
readonly UNIT=restic-manager-agent.service
readonly UNIT_FILE=/etc/systemd/system/$UNIT
readonly LINK=/usr/local/bin/restic-manager-agent
readonly ONLINE_WITHIN_SECONDS=60
readonly UNIT_FOLDERS='/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system
  /lib/systemd/system'

say() { printf '%s\n' "$*"; }
warn() { printf 'Warning: %s\n' "$*" >&2; }

# Says why in one sentence, then what to do, and ends.
fail() {
  printf 'Failed: %s\n' "$1" >&2
  shift
  for line; do printf '  %s\n' "$line" >&2; done
  exit 1
}

usage() {
  [ -z "${1:-}" ] || printf '%s\n' "$1" >&2
  cat >&2 <<'END'
Usage: install.sh [install] [--server URL] [--hostname NAME] [--ca-file FILE] [--release-key FILE] [--force]
       install.sh uninstall [--purge]
Environment: RM_SERVER, RM_TOKEN, RM_HOSTNAME, RM_CA_FILE, RM_CERT_PIN, RM_RELEASE_KEY
END
  exit 2
}

main() {
  command=install force='' purge='' work='' headers='' clock_note='' no_authorities=''
  server=${RM_SERVER:-} token=${RM_TOKEN:-} host_name=${RM_HOSTNAME:-}
  ca_file=${RM_CA_FILE:-} cert_pin=${RM_CERT_PIN:-} release_key=${RM_RELEASE_KEY:-}
  # Nothing that is started from here inherits the token; the agent is given it when it enrols.
  unset RM_TOKEN RM_SERVER RM_HOSTNAME RM_CA_FILE RM_CERT_PIN RM_RELEASE_KEY
  read_arguments "$@"
  [ "$(id -u)" = 0 ] || fail "this needs root." \
    "Run it again as root, or put \"sudo --preserve-env=RM_SERVER,RM_TOKEN\" before \"sh\", with the name of every" \
    "variable that you set, HTTPS_PROXY too."
  trap clean_up EXIT
  trap 'exit 1' HUP INT TERM
  case $command in
    install) install_agent ;;
    uninstall) uninstall_agent ;;
  esac
}

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      install | uninstall) command=$1 ;;
      --server | --hostname | --ca-file | --release-key)
        [ $# -ge 2 ] || usage "$1 needs a value."
        case $1 in
          --server) server=$2 ;;
          --hostname) host_name=$2 ;;
          --ca-file) ca_file=$2 ;;
          --release-key) release_key=$2 ;;
        esac
        shift
        ;;
      --force) force=--force ;;
      --purge) purge=yes ;;
      -h | --help) usage ;;
      *) usage "\"$1\" is not known." ;;
    esac
    shift
  done
}

clean_up() {
  [ -z "$work" ] || rm -rf "$work"
  # Empty unless something was installed.
  rmdir "$BIN" "$TOP" 2>/dev/null || :
}

# ---------------------------------------------------------------------------------------------------------- install

install_agent() {
  check_machine
  check_server
  check_places
  check_ownership
  take_certificate
  fetch_sums
  # Everything is here and is what the list says before the first file is put in its place.
  fetch_agent
  fetch_restic
  fetch_unit
  place_files
  install_link
  keep_settings
  join_server
  start_agent
  show_other_runs
  [ -z "$clock_note" ] || warn "$clock_note"
}

check_machine() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s); the installer is for Linux." \
    "For Windows there is install.ps1 at the same address."
  machine=$(uname -m)
  case $machine in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no agent for the architecture $machine." \
      "It is built for x86_64 and aarch64. restic alone can back this machine up." ;;
  esac
  # musl's own ldd names it; Alpine's has no glibc beside it.
  case $(ldd --version 2>&1 || true) in
    *musl*) fail "this system uses musl instead of glibc, and the agent's program needs glibc 2.28 or newer." \
      "Alpine and its like are not supported." ;;
  esac
  if have getconf && [ "$(getconf LONG_BIT 2>/dev/null || echo 64)" = 32 ]; then
    fail "this system is a 32-bit one on a 64-bit kernel; the agent's program is a 64-bit one." \
      "Install the system's 64-bit edition."
  fi
  # BusyBox's wget does not look at certificates.
  if have curl; then fetcher=curl
  elif have wget && wget --version 2>/dev/null | grep -q '^GNU Wget'; then fetcher=wget
  else fail "neither curl nor GNU wget is here." "Install curl with this system's package manager."
  fi
  for tool in sha256sum awk sed grep df mktemp; do
    have "$tool" || fail "the program $tool is missing." "Install it with this system's package manager."
  done
  say "This machine: Linux $machine, $fetcher."
}

have() { command -v "$1" >/dev/null 2>&1; }

check_server() {
  if [ -z "$server" ]; then server=$(configured server); fi
  if [ -z "$ca_file" ]; then ca_file=$(configured ca_file); fi
  [ -n "$server" ] || fail "the server's address is missing." \
    "Give it in RM_SERVER, as \"Add host\" at the server shows."
  while [ "$server" != "${server%/}" ]; do server=${server%/}; done
  case $server in
    https://?* | http://?*) ;;
    *) fail "the server's address \"$server\" does not begin with https:// or http://." ;;
  esac
  # It becomes part of commands and of a file: nothing but what an address is made of.
  case $server in
    *[!A-Za-z0-9.:/_~%\[\]-]*) fail "the server's address has a character that is not allowed in it." \
      "It is only https://NAME[:PORT], without user, password and query." ;;
  esac
  case $server in
    http://localhost | http://localhost[:/]* | http://127.* | http://\[::1\]*) ;;
    http://*) warn "the connection to $server is not encrypted; anyone on the way can read and change what is sent." ;;
  esac
  case $cert_pin in
    '') ;;
    sha256:*) case ${cert_pin#sha256:} in
        *[!0-9a-f]*) fail "RM_CERT_PIN must be sha256: and 64 small hex digits." ;;
      esac ;;
    *) fail "RM_CERT_PIN must be sha256: and 64 small hex digits." ;;
  esac
  [ -z "$ca_file" ] || [ -r "$ca_file" ] || fail "the CA file $ca_file can't be read."
  [ -z "$release_key" ] || [ -r "$release_key" ] || fail "the release key $release_key can't be read."
}

# A plain value of agent.yaml, or nothing.
configured() {
  [ ! -r "$CONFIG_DIR/agent.yaml" ] ||
    sed -n "/^$1: *null *\$/d; s/^$1: *//p" "$CONFIG_DIR/agent.yaml" | tr -d "\"'" | head -n 1
}

check_places() {
  make_folder "$TOP"
  make_folder "$BIN"
  work=$(mktemp -d "$BIN/.install.XXXXXX" 2>/dev/null) || fail "$BIN can't be written: $(why_unwritable "$BIN")" \
    "The agent lives in /opt/restic-manager, where it can replace itself: make that writable, perhaps by a mount of its own."
  free=$(df -Pk "$BIN" | awk 'END { print int($4 / 1024) }')
  [ "$free" -ge "$NEEDED_MIB" ] || fail "there is too little space in $BIN: $free MiB are free, $NEEDED_MIB MiB are needed." \
    "The agent with restic takes about half of it, and an update needs room for the new beside the old."
}

make_folder() {
  mkdir -p "$1" 2>/dev/null || fail "the folder $1 can't be made: $(why_unwritable "$(dirname "$1")")" \
    "The agent lives in /opt/restic-manager, where it can replace itself: make that writable, perhaps by a mount of its own."
}

why_unwritable() {
  if (: >"$1/.restic-manager-probe") 2>/dev/null; then
    rm -f "$1/.restic-manager-probe"
    say "something else is in its place."
  elif [ ! -d "$1" ]; then say "$1 is not a folder."
  else
    case $(LC_ALL=C touch "$1/.restic-manager-probe" 2>&1 || true) in
      *"Read-only file system"*) say "the file system is read-only." ;;
      *"No space left"*) say "the disk is full." ;;
      *) say "the system refuses to write there." ;;
    esac
  fi
}

# What a package put there is the package's to change.
check_ownership() {
  if have dpkg-query && dpkg-query -S "$AGENT" >/dev/null 2>&1; then
    fail "the agent on this host came with a package." \
      "Upgrade it with: apt-get update && apt-get install restic-manager-agent"
  fi
}

# A pin names one certificate. It is fetched, compared, and the only one that the downloads believe. The agent is given it
# as its CA file.
take_certificate() {
  if [ -n "$cert_pin" ]; then
    have openssl || fail "RM_CERT_PIN needs openssl to look at the server's certificate." \
      "Install openssl, or give the certificate as a file in RM_CA_FILE."
    address=${server#https://} address=${address%%/*}
    # What stands behind an IPv6 address's bracket, or the whole of another: without a colon there is no port.
    case ${address##*]} in *:*) ;; *) address=$address:443 ;; esac
    openssl s_client -connect "$address" -servername "${address%:*}" </dev/null 2>/dev/null |
      openssl x509 -outform PEM >"$work/pinned.pem" 2>/dev/null ||
      fail "no certificate could be got from $address." "Check the address: a pin needs https."
    seen=$(openssl x509 -in "$work/pinned.pem" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr 'A-F' 'a-f')
    [ "sha256:$seen" = "$cert_pin" ] || fail "the certificate of $address is not the pinned one." \
      "Its fingerprint is sha256:$seen. If it was renewed, take the new one from the server; otherwise somebody sits between."
    ca_file=$work/pinned.pem
    no_authorities=$work/no-authorities
    mkdir "$no_authorities"
  fi
}

# --------------------------------------------------------------------------------------------------------- download

# fetch PATH FILE: downloads $server PATH, or fails with a sentence. The answer's headers are in $headers then.
fetch() {
  headers=$work/headers
  rm -f "$headers" "$2"
  url=$server$1
  code=0
  if [ "$fetcher" = curl ]; then fetch_by_curl "$url" "$2" || code=$?; else fetch_by_wget "$url" "$2" || code=$?; fi
  [ "$code" = 0 ] || explain_failure "$code"
  status=$(sed -n 's/^ *HTTP\/[0-9.]* \([0-9]*\).*/\1/p' "$headers" | tail -n 1)
  [ "$status" = 200 ] || explain_status "$1" "$2"
}

# Neither reads a configuration of its user, which may switch off the look at certificates or the end of the answer.
fetch_by_curl() {
  set -- "$1" --output "$2" --dump-header "$headers" --silent --show-error --connect-timeout 15 --retry 2 \
    --speed-limit 1000 --speed-time 60 --max-time 3600
  [ -z "$ca_file" ] || set -- "$@" --cacert "$ca_file"
  # Debian's curl looks into a folder of authorities as well.
  [ -z "$no_authorities" ] || set -- "$@" --capath "$no_authorities"
  LC_ALL=C curl -q "$@" 2>"$work/reason"
}

fetch_by_wget() {
  set -- -O "$2" --server-response --tries=3 --timeout=60 --max-redirect=0 --content-on-error "$1"
  [ -z "$ca_file" ] || set -- --ca-certificate="$ca_file" "$@"
  code=0
  if [ -z "$no_authorities" ]; then LC_ALL=C wget --no-config -nv "$@" 2>"$work/reason" || code=$?
  else
    # The variables are for a wget with OpenSSL, which believes the system's authorities whatever its options say.
    SSL_CERT_FILE=$ca_file SSL_CERT_DIR=$no_authorities LC_ALL=C wget --no-config -nv \
      --ca-directory="$no_authorities" "$@" 2>"$work/reason" || code=$?
  fi
  grep '^  ' "$work/reason" >"$headers" || :
  # 8: the server answered with an error, which the status tells better. A redirect that is not followed ends so too.
  if [ "$code" != 0 ] && grep -q 'HTTP/' "$headers" && [ "$code" != 3 ]; then code=0; fi
  return "$code"
}

explain_failure() {
  reason=$(sed -n 's/^curl: ([0-9]*) //p; s/^wget: //p' "$work/reason" | tail -n 1)
  [ -n "$reason" ] || reason=$(grep -v '^  ' "$work/reason" | tail -n 1)
  origin=$(printf '%s' "$server" | sed 's,^\(https*://[^/]*\).*,\1,')
  # What the program says to it may itself find no room.
  case $fetcher$1 in
    curl23 | wget3) fail "the download can't be written: $BIN has no space left." \
      "Free some space and run this again; nothing was changed." ;;
  esac
  case $reason in
    *"wrong version number"* | *"packet length"* | *"unsupported protocol"* | *"record layer"* | *"unexpected message"* | *"TLS packet with unexpected length"*)
      fail "$origin does not speak TLS." "Is its address http:// instead of https://, or its port another one?" ;;
    *certificate* | *"SSL"*"self"* | *"ssl3_read_bytes"*)
      explain_certificate ;;
    *"Empty reply"* | *"reset by peer"* | *"HTTP/0.9"* | *"No data received"* | *"closed connection"*)
      case $server in
        http://*) fail "$origin ended the connection without an answer." \
          "It probably speaks TLS there: try https:// instead of http://." ;;
      esac
      fail "$origin ended the connection without an answer: $reason" "Is the server running? Run this again." ;;
    *"resolve"* | *"Resolving timed out"*) fail "the name in $origin is not known: $reason" \
      "Check the address, and this host's DNS: getent hosts NAME." ;;
    *"refused"* | *"connect to"*) fail "$origin can't be reached: $reason" \
      "Is the server running, is the port right, and does a firewall let this host go out?" ;;
    *"timed out"* | *"too slow"*) fail "$origin does not answer in time: $reason" \
      "A firewall or a proxy may be in between; HTTPS_PROXY is honoured when set." ;;
    *) fail "the download from $origin failed: ${reason:-error $1}" "Run this again." ;;
  esac
}

explain_certificate() {
  case $reason in
    *"not yet valid"* | *"expired"* | *"not yet activated"*)
      fail "the certificate of $origin is out of its time: $reason" \
        "This machine's clock says $(date -u '+%Y-%m-%d %H:%M UTC'). If that is wrong, set it; otherwise renew the certificate." ;;
    *"match"* | *"subject name"*)
      fail "the certificate of $origin is for another name: $reason" "Use the name that the certificate is made for." ;;
  esac
  if [ -n "$ca_file" ]; then
    fail "the certificate of $origin is not signed by what RM_CA_FILE or RM_CERT_PIN names: $reason"
  fi
  fail "this system does not trust the certificate of $origin: $reason" \
    "If it is your own: give the CA's certificate as a file in RM_CA_FILE, or the fingerprint that the server's" \
    "operator sees in RM_CERT_PIN=sha256:… (openssl x509 -in CERTIFICATE -noout -fingerprint -sha256)."
}

# An answer that is not 200.
explain_status() {
  location=$(sed -n 's/^ *[Ll]ocation: *//p' "$headers" | tr -d '\r' | tail -n 1)
  case $status in
    30[12378]) fail "$server sends us on to ${location:-another address}." \
      "The agent follows no redirect, which would carry its credentials along: give that address in RM_SERVER." ;;
  esac
  if grep -q 'HTTP request to an HTTPS server\|plain HTTP request was sent to HTTPS' "$2" 2>/dev/null; then
    fail "$server speaks TLS." "Write https:// instead of http://."
  fi
  if grep -q '"code":"artefacts' "$2" 2>/dev/null; then
    fail "the server has nothing at $1: $(sed -n 's/.*"message":"\([^"]*\)".*/\1/p' "$2")" \
      "Its operator looks at Settings, Agents."
  fi
  fail "the server answers HTTP ${status:-without a status} to $server$1, which a restic-manager server would not." \
    "Is the address complete, and does the proxy in front pass everything on? A path below the name is not supported."
}

fetch_sums() {
  fetch /install/SHA256SUMS "$work/SHA256SUMS"
  if grep -vqE '^[0-9a-f]{64}  [A-Za-z0-9][A-Za-z0-9._+~-]*$' "$work/SHA256SUMS" || [ ! -s "$work/SHA256SUMS" ]; then
    if grep -qi '<html\|<!doctype' "$work/SHA256SUMS"; then
      fail "$server answered with a web page instead of a list of files." \
        "A proxy or a sign-in page of the network is in between, or the address is another site's."
    fi
    fail "$server answered with something that is not a list of files." "Check the address."
  fi
  check_clock
  check_signature
}

# A wrong clock makes schedules and retention wrong, and certificates too.
check_clock() {
  there=$(sed -n 's/^ *[Dd]ate: *[A-Za-z]*, *//p' "$headers" | tr -d '\r' | tail -n 1 | awk '{
    month = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $2) + 2) / 3
    split($4, clock, ":")
    # Days since 1970 of a date of the Gregorian calendar, with the year beginning in March.
    year = $3; if (month <= 2) { year--; month += 12 }
    days = 365 * year + int(year / 4) - int(year / 100) + int(year / 400) + int((153 * (month - 3) + 2) / 5) + $1 - 719469
    if (NF >= 4) printf "%d", days * 86400 + clock[1] * 3600 + clock[2] * 60 + clock[3]
  }')
  [ -n "$there" ] || return 0
  off=$(($(date -u +%s) - there))
  way=ahead
  if [ "$off" -lt 0 ]; then off=$((0 - off)) way=behind; fi
  [ "$off" -gt 300 ] || return 0
  clock_note="this machine's clock is $((off / 60)) minutes $way of the server's. Backups would run at the wrong time and \
retention would count them wrongly: set it, for example with timedatectl set-ntp true."
}

# The list says what every file must be; whoever gave us a key wants to know who wrote the list.
check_signature() {
  [ -n "$release_key" ] || return 0
  have openssl || fail "a release key was given, but openssl is missing to check the signature." "Install openssl."
  openssl pkeyutl -help 2>&1 | grep -q rawin || fail "this openssl is too old to check an Ed25519 signature." \
    "OpenSSL 3 can; or verify by hand on another machine (docs/install.md)."
  fetch /install/SHA256SUMS.sig "$work/SHA256SUMS.sig"
  openssl base64 -d -A -in "$work/SHA256SUMS.sig" -out "$work/signature" 2>/dev/null || :
  openssl pkeyutl -verify -pubin -inkey "$release_key" -rawin -in "$work/SHA256SUMS" -sigfile "$work/signature" \
    >/dev/null 2>&1 || fail "the list of files is not signed with the release key $release_key." \
    "Nothing was installed. Either the key is of another release, or the files on the server were changed."
  say "The files are signed with the given release key."
}

# newest PREFIX SUFFIX: the name in the list with the highest version between them, or nothing.
newest() {
  sed 's/^[0-9a-f]*  //' "$work/SHA256SUMS" | awk -v prefix="$1" -v suffix="$2" "$COMPARE"'
    index($0, prefix) == 1 && length($0) > length(prefix suffix) && substr($0, length($0) - length(suffix) + 1) == suffix {
      version = substr($0, length(prefix) + 1, length($0) - length(prefix suffix))
      if (version ~ /^[0-9]/ && (best == "" || older(best, version))) { best = version; name = $0 }
    }
    END { print name }'
}

# older A B: whether the version A comes before B; awk, because sort -V is not everywhere.
COMPARE='
  function older(a, b,    i, left, right, lefts, rights) {
    sub(/\+.*/, "", a); sub(/\+.*/, "", b)
    split(a, left, /[.-]/); split(b, right, /[.-]/)
    for (i = 1; i <= 3; i++) if (left[i] + 0 != right[i] + 0) return left[i] + 0 < right[i] + 0
    # With equal numbers what comes before a release ("1.0.0-rc.1") is older than it.
    if ((index(a, "-") > 0) != (index(b, "-") > 0)) return index(a, "-") > 0
    # Of two such, as semantic versioning says: part by part, numbers by their value; awk knows numbers when it splits.
    lefts = split(substr(a, index(a, "-") + 1), left, /[.]/)
    rights = split(substr(b, index(b, "-") + 1), right, /[.]/)
    for (i = 1; i <= lefts && i <= rights; i++) if (left[i] != right[i]) return left[i] < right[i]
    return lefts < rights
  }
'

is_older() { awk -v a="$1" -v b="$2" "$COMPARE"'BEGIN { exit !older(a, b) }'; }

digest_of() { sed -n "s/^\([0-9a-f]*\)  $1\$/\1/p" "$work/SHA256SUMS"; }

is_file_of_list() {
  [ -f "$2" ] && [ "$(sha256sum "$2" | cut -d ' ' -f 1)" = "$(digest_of "$1")" ]
}

# fetch_program NAME FILE: downloads a file of the list; FILE has the right digest then, and may be run.
fetch_program() {
  fetch "/install/$1" "$2"
  if ! is_file_of_list "$1" "$2"; then
    fail "$1 is not what the server's list says: its digest is another one." \
      "The download was changed on its way, or the files on the server do not belong together. Nothing was installed."
  fi
  chmod 755 "$2"
}

# --------------------------------------------------------------------------------------------------- what is put where

fetch_agent() {
  name=$(newest restic-manager-agent- "-linux-$arch")
  [ -n "$name" ] || fail "the server has no agent for Linux on $arch." "Its operator looks at Settings, Agents."
  version=${name#restic-manager-agent-} version=${version%"-linux-$arch"}
  changed=''
  if is_file_of_list "$name" "$AGENT"; then
    say "The agent $version is installed already."
    return 0
  fi
  present=''
  [ ! -x "$AGENT" ] || present=$("$AGENT" --version 2>/dev/null | head -n 1) || :
  if [ -n "$present" ] && is_older "$version" "$present" && [ -z "$force" ]; then
    say "The agent $present is installed, which is newer than the server's $version: it stays (--force replaces it)."
    return 0
  fi
  fetch_program "$name" "$work/agent"
  # The agent's own record of an update that is not over: its guard would put the former program back over ours. One of an
  # update that went back lies there until the agent starts the next time.
  if [ -z "$force" ] && grep -q '"rolled_back":null' "$AGENT.update.json" 2>/dev/null; then
    fail "an update of the agent is under way." "Run this again in two minutes, or with --force to end it."
  fi
  answer=$("$work/agent" --version 2>&1) || fail "the agent's program does not run here: $answer" \
    "It needs glibc 2.28 or newer, and a file system at /opt that allows programs (not mounted noexec)."
}

fetch_restic() {
  found=$(find_restic)
  name=$(newest restic- "-linux-$arch")
  served=${name#restic-} served=${served%"-linux-$arch"}
  if [ -n "$found" ] && [ "${found%% *}" != "$BIN/restic" ]; then
    say "restic ${found#* } is here: ${found%% *}."
    return 0
  fi
  if [ -n "$name" ] && ! is_file_of_list "$name" "$BIN/restic"; then
    if [ -z "$found" ] || is_older "${found#* }" "$served"; then
      fetch_program "$name" "$work/restic"
      "$work/restic" version >/dev/null 2>&1 || fail "the server's restic does not run here."
      return 0
    fi
  fi
  if [ -n "$found" ]; then say "restic ${found#* } is here: ${found%% *}."; return 0; fi
  warn "there is no restic $MINIMUM_RESTIC or newer on this host, and the server has none for it. Backups fail until there is:
  put one at $BIN/restic, or install the system's (Debian 13 and Ubuntu 25.10 have one)."
}

# "PATH VERSION" of the restic that the agent would take: the first on PATH that is new enough, else its own.
find_restic() {
  for place in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin "$BIN"; do
    [ -x "$place/restic" ] || continue
    found_version=$("$place/restic" version 2>/dev/null | sed -n 's/^restic \([0-9][0-9.]*\).*/\1/p') || :
    if [ -n "$found_version" ] && ! is_older "$found_version" "$MINIMUM_RESTIC"; then
      say "$place/restic $found_version"
      return 0
    fi
  done
}

fetch_unit() {
  if ! has_systemd || is_file_of_list "$UNIT" "$UNIT_FILE"; then return 0; fi
  fetch "/install/$UNIT" "$work/unit"
  is_file_of_list "$UNIT" "$work/unit" || fail "$UNIT is not what the server's list says: its digest is another one." \
    "The download was changed on its way, or the files on the server do not belong together. Nothing was installed."
  chmod 644 "$work/unit"
}

has_systemd() { have systemctl && [ -d /run/systemd/system ]; }

place_files() {
  if [ -f "$work/agent" ]; then
    rm -f "$AGENT.update.json"
    mv -f "$work/agent" "$AGENT"
    changed=yes
    if [ -n "$present" ]; then say "The agent was upgraded: $present to $version."; else say "The agent $version is in $AGENT."; fi
  fi
  if [ -f "$work/restic" ]; then
    mv -f "$work/restic" "$BIN/restic"
    say "restic $served is in $BIN/restic."
  fi
  if [ -f "$work/unit" ]; then
    mkdir -p "$(dirname "$UNIT_FILE")"
    mv -f "$work/unit" "$UNIT_FILE"
    changed=yes
  fi
}

install_link() {
  [ "$(readlink "$LINK" 2>/dev/null || :)" != "$AGENT" ] || return 0
  if [ -e "$LINK" ] && [ ! -L "$LINK" ]; then
    say "$LINK is another file and stays: call the agent as $AGENT."
  elif ! ln -sf "$AGENT" "$LINK" 2>/dev/null; then
    say "$(dirname "$LINK") can't be written: call the agent as $AGENT. Nothing else needs it."
  fi
}

# What the agent needs again after this script: the server's CA and the way through a proxy.
keep_settings() {
  (umask 077 && mkdir -p "$CONFIG_DIR" "$STATE_DIR") || fail "$CONFIG_DIR or $STATE_DIR can't be made."
  if [ -n "$ca_file" ] && [ "$ca_file" != "$CONFIG_DIR/ca.pem" ]; then
    cp "$ca_file" "$CONFIG_DIR/ca.pem.new" && mv -f "$CONFIG_DIR/ca.pem.new" "$CONFIG_DIR/ca.pem"
    chmod 644 "$CONFIG_DIR/ca.pem"
  fi
  lines=''
  for variable in HTTPS_PROXY https_proxy HTTP_PROXY http_proxy NO_PROXY no_proxy; do
    value=''
    eval "value=\${$variable:-}"
    case $value in
      '') ;;
      *[!A-Za-z0-9.:/_~%@,*\[\]+=-]*) warn "$variable has characters that can't be kept: set it in $CONFIG_DIR/agent.env." ;;
      *) lines="$lines$variable=$value
" ;;
    esac
  done
  [ -z "$lines" ] || [ -f "$CONFIG_DIR/agent.env" ] || (umask 077 && printf '%s' "$lines" >"$CONFIG_DIR/agent.env")
}

# --------------------------------------------------------------------------------------------------------- enrolment

join_server() {
  if [ -s "$CONFIG_DIR/agent.yaml" ] && [ -z "$force" ]; then
    say "This host stays enrolled at $(configured server)."
    if [ "$(configured server)" != "$server" ]; then
      warn "that is not $server. To move this host there, run this again with --force and a new token."
    elif [ -n "$token" ]; then say "The token was not used, and is still good (--force enrols anew)."
    fi
    return 0
  fi
  set -- --server "$server"
  [ -z "$host_name" ] || set -- "$@" --hostname "$host_name"
  # It goes into agent.yaml, so the file has to stay.
  [ -z "$ca_file" ] || set -- "$@" --ca-file "$CONFIG_DIR/ca.pem"
  [ -z "$force" ] || set -- "$@" --force
  if [ -n "$token" ]; then
    RM_TOKEN=$token "$AGENT" enrol "$@" || fail "this host could not be enrolled; the reason stands above." \
      "The agent is installed. Run this again when it is mended; a token is good once and for an hour."
    token=''
  else
    say "No token was given: this host announces itself and waits to be accepted."
    "$AGENT" announce "$@" || fail "this host was not accepted; the reason stands above." \
      "The agent is installed. Run this again, or make a token at the server: Add host."
  fi
}

start_agent() {
  if ! has_systemd; then
    say "No systemd runs here, so nothing starts the agent by itself. Let what starts this system's programs run, as root:"
    say "  $AGENT run"
    say "and start it again when it ends with another code than 0 or 3. Without restarts it can't update itself."
    return 0
  fi
  systemctl daemon-reload
  systemctl enable --quiet "$UNIT" 2>/dev/null || warn "the service could not be enabled to start with the system."
  if [ -z "$changed" ] && systemctl is-active --quiet "$UNIT"; then
    say "The agent's service runs already."
  else
    # A restic that runs is left running (KillMode=process); the new agent takes it up.
    systemctl restart "$UNIT" || fail "the service does not start." "See why: journalctl -u $UNIT -n 30"
  fi
  await_online
}

# The agent knows what the server told it.
await_online() {
  if "$AGENT" status --wait "$ONLINE_WITHIN_SECONDS"; then
    say "Done. What comes next stands on the host's page: $server"
  else
    fail "the agent's service is installed and goes on trying, but the server does not have it online." \
      "See why: journalctl -u $UNIT -n 30"
  fi
}

# ------------------------------------------------------------------------------------------- restic that runs already

# Backups that something else on this host starts. Found and shown with what would end them; nothing is changed, and no
# line is printed: it may hold a password.
show_other_runs() {
  others=$(find_timers; find_cron)
  [ -n "$others" ] || return 0
  say ""
  say "restic is also started by something else on this host. Once the backups of this host run here, this ends the old ones:"
  printf '%s\n' "$others"
}

find_timers() {
  list_timers | sort -u | while IFS= read -r timer; do
    started=$(unit_text "$timer" | sed -n 's/^Unit=//p' | tail -n 1)
    [ -n "$started" ] || started=${timer%.timer}.service
    commands=$(unit_text "$started" | sed -n 's/^Exec[A-Za-z]*=[-@:+!]*//p')
    starts_restic "$timer" || starts_restic "$commands" || continue
    if has_systemd; then
      systemctl is-enabled --quiet "$timer" 2>/dev/null || systemctl is-active --quiet "$timer" 2>/dev/null || continue
    fi
    say "  systemctl disable --now $(quoted "$timer")"
  done
}

# Every timer; of a template the instances that were enabled.
list_timers() {
  for folder in $UNIT_FOLDERS; do
    for file in "$folder"/*.timer "$folder"/*.wants/*@?*.timer; do
      case $file in *@.timer) continue ;; esac
      [ ! -f "$file" ] || basename "$file"
    done
  done
}

# What the files of a unit say, those that an administrator added to it and those of its template too.
unit_text() {
  template=$1
  case $1 in *@*) template=${1%%@*}@.${1##*.} ;; esac
  for folder in $UNIT_FOLDERS; do
    cat "$folder/$template" "$folder/$template.d"/*.conf "$folder/$1" "$folder/$1.d"/*.conf 2>/dev/null || :
  done
}

# Whether a name or commands speak of restic, or of a script that has it inside.
starts_restic() {
  words=$(printf '%s\n' "$1" | without_namesakes)
  case $words in
    *restic* | *backrest*) return 0 ;;
  esac
  [ -n "$(printf '%s\n' "$words" | scripts_with_restic)" ]
}

# Ourselves, and the program for PostgreSQL that has nothing to do with restic.
without_namesakes() { sed 's/restic-manager[a-z-]*//g; s/pgbackrest//g'; }

# From text, the paths in it of scripts that have restic inside; one a line.
scripts_with_restic() {
  tr -s '[:space:];&|()"' '\n' | grep '^/[A-Za-z0-9._/+-]*$' | sort -u | while IFS= read -r script; do
    if [ -f "$script" ] && mentions_restic "$script"; then say "$script"; fi
  done
}

find_cron() {
  for file in /etc/crontab /etc/cron.d/* /etc/anacrontab; do
    [ -f "$file" ] || continue
    show_edits "$file"
  done
  for file in /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/*; do
    if [ -x "$file" ] && [ -f "$file" ] && mentions_restic "$file"; then say "  chmod -x $(quoted "$file")"; fi
  done
  for file in /var/spool/cron/crontabs/* /var/spool/cron/*; do
    [ -f "$file" ] || continue
    user=$(quoted "$(basename "$file")")
    # The program leaves out lines of the file, and tells the daemon; without it the daemon reads the file.
    if have crontab; then
      crontab -u "$(basename "$file")" -l 2>/dev/null | edits_of_crontab | while IFS= read -r edit; do
        say "  crontab -u $user -l | sed '$edit' | crontab -u $user -"
      done
    else
      show_edits "$file"
    fi
  done
}

show_edits() {
  name=$(quoted "$1")
  edits_of_crontab <"$1" | while IFS= read -r edit; do say "  sed -i '$edit' $name"; done
}

# From a crontab, what makes sed comment out each entry that starts restic: by its number, and only while that line still
# speaks of it.
edits_of_crontab() {
  number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    entry=${line#"${line%%[![:space:]]*}"}
    # Not comments and not settings, which may speak of restic as well.
    case $entry in [-0-9*@]*) ;; *) continue ;; esac
    entry=$(printf '%s\n' "${entry%%[[:space:]]#*}" | without_namesakes)
    case $entry in
      *restic*) say "$number{/restic/s/^/#/;}" ;;
      *backrest*) say "$number{/backrest/s/^/#/;}" ;;
      *)
        script=$(printf '%s\n' "$entry" | scripts_with_restic | head -n 1)
        [ -z "$script" ] || say "$number{\\|$script|s/^/#/;}"
        ;;
    esac
  done
}

# A script, not a program: nothing large, nothing binary.
mentions_restic() {
  [ "$(wc -c <"$1")" -lt 262144 ] && [ "$(head -c 2 "$1")" = '#!' ] &&
    grep -v '^[[:space:]]*#' "$1" | without_namesakes | grep -q restic
}

# A word as a shell reads it back.
quoted() {
  case $1 in
    *[!A-Za-z0-9._/@:+-]*) printf "'%s'\n" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) say "$1" ;;
  esac
}

# -------------------------------------------------------------------------------------------------------- uninstall

uninstall_agent() {
  if have dpkg-query && dpkg-query -S "$AGENT" >/dev/null 2>&1; then
    fail "the agent on this host came with a package." "Remove it with: apt-get remove restic-manager-agent (or purge)"
  fi
  refuse_while_restic_runs
  if has_systemd && [ -e "$UNIT_FILE" ]; then
    systemctl disable --now --quiet "$UNIT" 2>/dev/null || :
  fi
  rm -f "$UNIT_FILE"
  if has_systemd; then
    systemctl daemon-reload
    systemctl reset-failed "$UNIT" 2>/dev/null || :
  fi
  [ "$(readlink "$LINK" 2>/dev/null || :)" != "$AGENT" ] || rm -f "$LINK"
  other_data=$(configured data_dir)
  rm -rf "$TOP"
  if [ -z "$purge" ]; then
    say "The agent is removed. Its configuration ($CONFIG_DIR) and state ($STATE_DIR) are left: uninstall --purge removes them."
    return 0
  fi
  rm -rf "$CONFIG_DIR" "/etc/systemd/system/$UNIT.d"
  # The folder is also a good place for a server's data, whose loss nothing makes good.
  if [ -e "$STATE_DIR/restic-manager.db" ] || [ -e "$STATE_DIR/secret.key" ]; then
    say "The agent is removed, with its configuration. $STATE_DIR stays: a server keeps its database or key there."
  else
    rm -rf "$STATE_DIR"
    say "The agent is removed, with its configuration and state. The host's entry and its backups stay at the server."
  fi
  [ -z "$other_data" ] || [ "$other_data" = "$STATE_DIR" ] || say "Its state was in $other_data: remove that by hand."
}

# The agent's runner and its restic outlive the service; pulling their folder away would break a job.
refuse_while_restic_runs() {
  for entry in /proc/[0-9]*; do
    case $(tr '\0' ' ' <"$entry/cmdline" 2>/dev/null || :) in
      "$AGENT runner "*) fail "a job of the agent still runs (process ${entry#/proc/})." \
        "Wait for its end, or cancel it at the server; then run this again." ;;
    esac
  done
}

main "$@"
