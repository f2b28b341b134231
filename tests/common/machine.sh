# Parts of machines that tests make, for every shell.

# layer PLACE TREE [OVER]: in the mounts of this process, what is written to /TREE from now on is kept below PLACE. OVER are
# directories that lie over what is there, each with a colon behind.
layer() {
    mkdir -p "$1/upper/$2" "$1/aside/$2"
    mount -t overlay overlay -o "lowerdir=${3:-}/$2,upperdir=$1/upper/$2,workdir=$1/aside/$2" "/$2"
}

# others ADDRESS RECORD...: the configuration of an unbound there that has these records of everybody else's names.
others() {
    cat <<END
server:
 interface: $1@53
 access-control: 0.0.0.0/0 allow
 chroot: ""
 username: ""
 pidfile: ""
 use-syslog: no
 do-ip6: no
 module-config: "iterator"
 aggressive-nsec: no
 local-zone: "." static
END
    shift
    printf ' local-data: "%s"\n' "$@"
    printf 'remote-control:\n control-enable: no\n'
}
