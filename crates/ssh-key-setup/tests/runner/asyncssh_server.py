"""An AsyncSSH server for the tests: PORT, HOST KEY, ACCOUNT's home, and a mode.

keys: an ordinary server; anyone: lets in without a key; silent: reports no exit status for SFTP; locked: SFTP alone,
with the account's home as its root; deaf: ignores the options before a key, as servers in Go do.
"""

import asyncio
import os
import sys

import asyncssh

port, host_key, home, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


class Server(asyncssh.SSHServer):
    def connection_made(self, conn):
        self.conn = conn

    def begin_auth(self, username):
        if mode == "anyone":
            return False
        if mode != "deaf":
            self.conn.set_authorized_keys(home + "/.ssh/authorized_keys")
        return True

    def public_key_auth_supported(self):
        return mode == "deaf"

    def validate_public_key(self, username, key):
        blob = key.export_public_key().split()[1].decode()
        with open(home + "/.ssh/authorized_keys") as file:
            return blob in file.read()


class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=home if mode == "locked" else None)

    def exit(self):
        # By itself AsyncSSH reports no exit status, which restic before 0.18 takes for a failure.
        if mode != "silent":
            self.channel.exit(0)


async def shell(process):
    command = process.command or "true"
    run = await asyncio.create_subprocess_shell(
        command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await run.communicate()
    process.stdout.write(output.decode())
    process.exit(run.returncode)


async def main():
    account = os.stat(home)
    key = asyncssh.read_private_key(host_key)
    os.chdir(home)
    # As the account: it writes files and reads keys with that one's rights.
    os.setgroups([])
    os.setgid(account.st_gid)
    os.setuid(account.st_uid)
    await asyncssh.create_server(
        Server,
        "127.0.0.1",
        port,
        server_host_keys=[key],
        process_factory=None if mode == "locked" else shell,
        sftp_factory=Files,
    )
    print("ready", flush=True)
    await asyncio.get_event_loop().create_future()


asyncio.run(main())
