#!/bin/bash
# Install lxcwrap on this machine.  Run as root, from a checkout:
#
#   sudo ./install.sh demo        install, then show the main job on a small page served from a container
#   sudo ./install.sh             install (or bring an installed copy up to this checkout)
#   sudo ./install.sh test [ARG…] install, then ruff, mypy and the whole test suite; ARGs go to pytest
#   sudo ./install.sh uninstall   remove what was installed; asks before removing images and volumes
#                                 (--yes: remove them too; --keep: keep them)
#
# Debian 12 and 13, Ubuntu 22.04 and 24.04 (apt), CentOS Stream and Fedora (dnf).
set -euo pipefail
umask 022
unset CDPATH PYTHONPATH PYTHONHOME
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=/opt/lxcwrap
state=${LXCWRAP_ROOT:-/var/lib/lxcwrap}
record=$prefix/installed # what uninstall has to undo: packages, subordinate ids
test_venv=/opt/lxcwrap-test
python=/usr/bin/python3
share=/usr/local/share
command=/usr/local/bin/lxcwrap

# The distribution's names: what lxcwrap cannot run without, what it uses where it exists, what the tests need.
apt_required=(python3 python3-venv liblxc1 liblxc-common python3-lxc python3-click python3-yaml python3-urllib3
    python3-rich python3-paramiko dnsmasq-base nftables libnftables1 uidmap busybox-static debootstrap tini
    ca-certificates iproute2)
apt_optional=(python3-zstandard python3-isal ubuntu-archive-keyring ubuntu-keyring)
apt_testing=(skopeo umoci buildah docker-registry apache2-utils shellcheck procps zsh fish man-db groff-base
    strace gcc libc6-dev systemd zstd openssh-client iptables)
dnf_required=(python3 lxc lxc-libs python3-lxc python3-click python3-pyyaml python3-urllib3 python3-rich
    python3-paramiko dnsmasq nftables shadow-utils busybox debootstrap ca-certificates iproute)
dnf_optional=(python3-zstandard python3-isal catatonit tini-static shadow-utils-subid ubu-keyring debian-keyring)
dnf_testing=(skopeo umoci buildah docker-distribution httpd-tools ShellCheck procps-ng zsh fish man-db groff-base
    strace gcc glibc-devel systemd zstd iptables-nft)

say() { printf '%s\n' "$*"; }
die() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

# ---- distribution packages -------------------------------------------------------------------------------------

family() {
    if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
        echo apt
    elif command -v dnf >/dev/null; then
        echo dnf
    fi
}

refuse_system() {
    local name=
    name=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' /etc/os-release 2>/dev/null || true)
    die "neither apt-get nor dnf here (${name:-unknown system}): packages cannot be installed by this script.
lxcwrap needs Linux 5.11 or later, Python 3.10 or later, liblxc 4 or later with its Python binding (python3-lxc),
click, PyYAML, urllib3, rich, paramiko, dnsmasq, nftables (libnftables), newuidmap, a static busybox and debootstrap.
With those in place and liblxc's headers, 'pip install .' installs the program."
}

is_installed() {
    case $(family) in
    apt) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    dnf) rpm -q --quiet "$1" ;;
    esac
}

is_offered() {
    case $(family) in
    apt) [[ $(apt-cache policy "$1") == *"Candidate: "[^\(]* ]] ;;
    dnf) dnf -q info "$1" >/dev/null 2>&1 ;;
    esac
}

installed_packages() {
    case $(family) in
    apt) dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u ;;
    dnf) rpm -qa --qf '%{NAME}\n' | sort -u ;;
    esac
}

absent() {
    local name
    for name; do is_installed "$name" || echo "$name"; done
}

refresh_lists() {
    case $(family) in
    apt) apt-get update -q >/dev/null || die "apt-get update failed" ;;
    dnf) if grep -qi 'centos\|rhel' /etc/os-release; then dnf -q -y install epel-release >/dev/null || true; fi ;;
    esac
}

fetch_packages() {
    case $(family) in
    apt) DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >"$log" 2>&1 ;;
    dnf) dnf -y -q --setopt=install_weak_deps=False install "$@" </dev/null >"$log" 2>&1 ;;
    esac
}

# install_packages NAME… [-- OPTIONAL…]: those that are not there yet; remembers what came new.
install_packages() {
    local wanted=() optional=() name after='' before
    for name; do
        if [ "$name" = -- ]; then after=yes; elif [ -n "$after" ]; then optional+=("$name"); else wanted+=("$name"); fi
    done
    mapfile -t wanted < <(absent "${wanted[@]}")
    mapfile -t optional < <(absent ${optional[@]+"${optional[@]}"})
    if [ ${#wanted[@]} -gt 0 ]; then
        refresh_lists
    fi
    for name in ${optional[@]+"${optional[@]}"}; do
        if is_offered "$name"; then wanted+=("$name"); fi
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    say "Installing packages: ${wanted[*]}"
    before=$(installed_packages)
    log=$(mktemp)
    fetch_packages "${wanted[@]}" || {
        tail -n 20 "$log" >&2
        die "the distribution's packages could not be installed (above: the end of its output)"
    }
    rm -f "$log"
    mkdir -p "$record"
    comm -13 <(echo "$before") <(installed_packages) >>"$record/packages"
}

# ---- the program -----------------------------------------------------------------------------------------------

site_packages() {
    "$python" -c 'import sys; print(sys.argv[1] + "/lib/python%d.%d/site-packages" % sys.version_info[:2])' "$1"
}

distribution_packages() {
    "$python" -I -c 'import os, sys; print(*(repr(p) for p in sys.path if p.endswith("-packages") and os.path.isdir(p)), sep=", ")'
}

install_program() {
    local site
    say "Installing lxcwrap in $prefix"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "Python 3.10 or later is needed"
    [ -x "$prefix/bin/python" ] || "$python" -m venv --system-site-packages --without-pip "$prefix"
    site=$(site_packages "$prefix")
    install_tree "$here/lxcwrap" "$site/lxcwrap"
    install_tree "$here/templates" "$prefix/share/lxcwrap/templates"
    install -m 755 "$here/install.sh" "$prefix/share/lxcwrap/install.sh.new" # for lxcwrap host setup
    mv "$prefix/share/lxcwrap/install.sh.new" "$prefix/share/lxcwrap/install.sh"
    "$python" -m compileall -q "$site/lxcwrap"
    install_isal "$site"
    write_launcher "$site"
    ln -sfn "$prefix/bin/lxcwrap" "$command"
}

# install_tree FROM TO: TO is replaced as a whole, and is never half there.
install_tree() {
    mkdir -p "$(dirname "$2")"
    rm -rf "$2.new" "$2.old"
    cp -R "$1" "$2.new"
    find "$2.new" -name __pycache__ -prune -exec rm -rf {} +
    chown -R 0:0 "$2.new"
    chmod -R u=rwX,go=rX "$2.new"
    if [ -e "$2" ]; then mv "$2" "$2.old"; fi
    mv "$2.new" "$2"
    rm -rf "$2.old"
}

# The interpreter starts without its site module, and imports without stopping for garbage: start-up counts.
write_launcher() {
    {
        echo "#!$prefix/bin/python -IS"
        echo "import gc, sys"
        echo "gc.set_threshold(50000)"
        echo "sys.path += ['$1', $(distribution_packages)]"
        echo "from lxcwrap.cli.main import main"
        echo "main()"
    } >"$prefix/bin/lxcwrap.new"
    chmod 755 "$prefix/bin/lxcwrap.new"
    mv "$prefix/bin/lxcwrap.new" "$prefix/bin/lxcwrap"
}

# Optional: gzip at several times zlib's speed.  A package on newer systems, a wheel from PyPI elsewhere.
install_isal() {
    if "$prefix/bin/python" -c 'import isal.igzip' 2>/dev/null; then return 0; fi
    if { "$prefix/bin/python" -m pip --version || "$prefix/bin/python" -m ensurepip; } >/dev/null 2>&1 &&
        "$prefix/bin/python" -m pip install -q --disable-pip-version-check --retries 1 --timeout 15 \
            --only-binary :all: --target "$1" isal >/dev/null 2>&1; then
        say "Added isal from PyPI (faster gzip)"
    else
        say "PyPI is not reachable: going on without isal (gzip will be slower)"
    fi
}

install_manuals() {
    local man=$share/man/man1
    mkdir -p "$man" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
    rm -f "$man"/lxcwrap*.1
    "$command" completion bash >"$share/bash-completion/completions/lxcwrap"
    "$command" completion zsh >"$share/zsh/site-functions/_lxcwrap"
    "$command" completion fish >"$share/fish/vendor_completions.d/lxcwrap.fish"
    "$command" man "$man" >/dev/null
}

# ---- subordinate ids -------------------------------------------------------------------------------------------

# The ids that containers' users get on the host.  A range that root already has is left as it is.
grant_ids() {
    local line file
    if grep -qs '^root:' /etc/subuid && grep -qs '^root:' /etc/subgid; then return 0; fi
    line=root:$(free_range):655360000
    say "Granting root the subordinate ids $line"
    mkdir -p "$record"
    for file in /etc/subuid /etc/subgid; do
        grep -qs '^root:' "$file" && die "root has a range in one of /etc/subuid and /etc/subgid only: make them agree"
        if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then echo >>"$file"; fi
        echo "$line" >>"$file"
    done
    echo "$line" >"$record/ids"
}

# The first of 10000 x 65536 ids that nobody else was given, from 1000000000 on.
free_range() {
    cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: '
        BEGIN { first = 1000000000; size = 655360000 }
        $2 ~ /^[0-9]+$/ && $3 ~ /^[0-9]+$/ { from[++n] = $2; to[n] = $2 + $3 }
        END {
            do {
                moved = 0
                for (i = 1; i <= n; i++)
                    if (from[i] < first + size && to[i] > first) { first = to[i]; moved = 1 }
            } while (moved)
            if (first + size > 4294967294) exit 1
            printf "%d", first
        }' || die "no 655360000 free subordinate ids in /etc/subuid and /etc/subgid"
}

revoke_ids() {
    local line file
    [ -s "$record/ids" ] || return 0
    line=$(cat "$record/ids")
    for file in /etc/subuid /etc/subgid; do
        [ -f "$file" ] || continue
        grep -vxF -- "$line" "$file" >"$file.lxcwrap" || true
        cat "$file.lxcwrap" >"$file"
        rm -f "$file.lxcwrap"
    done
}

# ---- install, demo, test, uninstall ----------------------------------------------------------------------------

install_all() {
    [ -d "$here/lxcwrap" ] || die "run it from a checkout: $here has no lxcwrap folder"
    case $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) in
    Y*) apt_required+=(apparmor) ;; # loads the profiles of containers
    esac
    case $(family) in
    apt) install_packages "${apt_required[@]}" -- "${apt_optional[@]}" ;;
    dnf) install_packages "${dnf_required[@]}" -- "${dnf_optional[@]}" ;;
    *) refuse_system ;;
    esac
    grant_ids
    install_program
    install_manuals
    say "lxcwrap $("$command" --version | sed 's/.* //') is installed: $command"
}

step() { printf '\n%s\n' "== $*"; }
show() {
    printf '$ lxcwrap %s\n' "$*"
    "$command" "$@"
}

fetch_page() {
    "$python" -I - "$1" <<'PY'
import sys, time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for attempt in range(50):
    try:
        sys.stdout.write(opener.open(sys.argv[1], timeout=5).read().decode())
        break
    except OSError as error:
        failure = error
        time.sleep(0.1)
else:
    sys.exit(f"install.sh: {sys.argv[1]}: {failure}")
PY
}

demo() {
    local address
    "$command" rm -f lxcwrap-demo >/dev/null 2>&1 || true
    step "A base image from this machine's own busybox: no registry involved"
    show template build busybox
    step "An image from examples/hello/Dockerfile"
    show build -t hello "$here/examples/hello"
    step "A container of it, its port 8080 published on a free port of this host"
    show run -d --name lxcwrap-demo -p 8080 hello
    address=$("$command" port lxcwrap-demo 8080 | head -n 1 | sed 's/^0\.0\.0\.0:/127.0.0.1:/; s/^\[::\]:/127.0.0.1:/')
    step "The page that it serves at http://$address/"
    fetch_page "http://$address/"
    step "A change inside the container, kept as a new image"
    show exec -u root lxcwrap-demo sh -c 'echo "Changed in a running container." >>/www/index.html'
    fetch_page "http://$address/" | tail -n 1
    show commit -m "Changed the page" lxcwrap-demo hello:changed
    step "What there is now"
    show ps
    show images
    step "Stop and remove the container; the images stay"
    show stop lxcwrap-demo
    show rm lxcwrap-demo
    show rmi hello:changed
    printf '\n%s\n' "That is all: lxcwrap --help lists the commands, README.rst has a tour."
}

run_tests() {
    local arguments=("$@")
    case $(family) in
    apt) install_packages "${apt_testing[@]}" ;;
    dnf) install_packages "${dnf_testing[@]}" ;;
    esac
    install_test_venv
    cd "$here"
    step "ruff"; "$test_venv/bin/ruff" check . && "$test_venv/bin/ruff" format --check .
    step "mypy";  "$test_venv/bin/mypy"
    step "shellcheck"
    shellcheck install.sh .ci/run benchmarks/run tests/realhost/run tests/realhost/fleet
    step "pytest"
    LXCWRAP_BIN=$command "$test_venv/bin/pytest" --durations=15 ${arguments[@]+"${arguments[@]}"}
}

install_test_venv() {
    if cmp -s "$here/tests/requirements.txt" "$test_venv/requirements.txt"; then return 0; fi
    say "Installing the test tools in $test_venv"
    rm -rf "$test_venv"
    "$python" -m venv --system-site-packages "$test_venv"
    "$test_venv/bin/pip" install -q --disable-pip-version-check -r "$here/tests/requirements.txt" ||
        die "the test tools could not be fetched from PyPI"
    cp "$here/tests/requirements.txt" "$test_venv/requirements.txt"
}

wants_state_removed() {
    local answer=
    case ${1:-} in
    --yes) return 0 ;;
    --keep) return 1 ;;
    esac
    if [ ! -t 0 ]; then
        say "Not a terminal and no --yes: keeping the images and volumes in $state"
        return 1
    fi
    read -r -p "Remove all containers, images and volumes in $state too? [y/N] " answer
    [[ $answer == [yY]* ]]
}

disable_units() {
    [ -x "$command" ] && [ -e /etc/systemd/system/lxcwrap.service ] || return 0
    "$command" system disable >/dev/null
}

stop_containers() {
    local running
    [ -x "$command" ] && [ -e "$state/state.db" ] || return 0
    mapfile -t running < <("$command" ps -q)
    [ ${#running[@]} -gt 0 ] || return 0
    say "Stopping ${#running[@]} containers"
    "$command" stop "${running[@]}" >/dev/null
}

remove_state() {
    local all
    if [ -x "$command" ] && [ -e "$state/state.db" ]; then
        mapfile -t all < <("$command" ps -aq)
        [ ${#all[@]} -eq 0 ] || "$command" rm -f "${all[@]}" >/dev/null
        "$command" network prune -f >/dev/null
    fi
    if [ "$state" != /var/lib/lxcwrap ] && [ ! -e "$state/state.db" ]; then die "$state is not a state of lxcwrap"; fi
    rm -rf "$state"
    say "Removed $state"
}

remove_network() {
    if [ -e /sys/class/net/lxcw0 ]; then ip link delete lxcw0; fi
    if nft list table inet lxcwrap >/dev/null 2>&1; then nft delete table inet lxcwrap; fi
    rm -rf /run/lxcwrap
    # liblxc's, while it starts a container; one that is in use stays
    if [ -d /sys/fs/cgroup/lxc.pivot ]; then rmdir /sys/fs/cgroup/lxc.pivot 2>/dev/null || true; fi
}

# The profiles that confined the containers, of this version and earlier ones.  Kept by containers that still run.
remove_profiles() {
    local name list=/sys/kernel/security/apparmor/profiles
    [ -r "$list" ] && command -v apparmor_parser >/dev/null || return 0
    sed -n 's/^\(lxcwrap-[a-z]*-[0-9a-f]*\) (.*/\1/p' "$list" | while read -r name; do
        echo "profile $name {}" | apparmor_parser -R
    done
}

# Only what this script brought, and only while nothing else has come to need it.
remove_packages() {
    local names others
    [ -s "$record/packages" ] || return 0
    mapfile -t names < <(sort -u "$record/packages" | while read -r name; do is_installed "$name" && echo "$name"; done)
    [ ${#names[@]} -gt 0 ] || return 0
    case $(family) in
    apt) others=$(apt-get -s remove "${names[@]}" | awk '$1 == "Remv" { print $2 }' | sort -u | comm -13 <(printf '%s\n' "${names[@]}" | sort -u) -) ;;
    dnf) others=unknown ;;
    esac
    if [ -n "$others" ]; then
        say "Left in place, other packages may need them now: ${names[*]}"
    else
        say "Removing the ${#names[@]} packages that came with it"
        DEBIAN_FRONTEND=noninteractive apt-get purge -y -q "${names[@]}" >/dev/null
    fi
}

uninstall() {
    local erase=
    if [ -d "$state" ] && wants_state_removed "${1:-}"; then erase=yes; fi
    disable_units
    stop_containers
    if [ -n "$erase" ]; then remove_state; fi
    remove_network
    remove_profiles
    rm -f "$command" "$share"/man/man1/lxcwrap*.1 "$share/bash-completion/completions/lxcwrap" \
        "$share/zsh/site-functions/_lxcwrap" "$share/fish/vendor_completions.d/lxcwrap.fish"
    rmdir --ignore-fail-on-non-empty "$share"/{man/man1,bash-completion/completions,bash-completion} \
        "$share"/{zsh/site-functions,zsh,fish/vendor_completions.d,fish} 2>/dev/null || true
    if [ -d "$state" ]; then say "Kept with $state: root's subordinate ids"; else revoke_ids; fi
    remove_packages
    rm -rf "$prefix" "$test_venv"
    say "lxcwrap is uninstalled"
}

main() {
    case ${1:-} in
    "" | demo | test | uninstall) [ "$(id -u)" = 0 ] || die "this needs root: sudo ./install.sh $*" ;;
    -h | --help | help)
        sed -n '2,10s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) die "unknown word '$1' (demo, test, uninstall, or nothing to install)" ;;
    esac
    if [ "${1:-}" = uninstall ]; then
        uninstall "${2:-}"
        exit 0
    fi
    install_all
    case ${1:-} in
    demo) demo ;;
    test) run_tests "${@:2}" ;;
    esac
}

main "$@"
