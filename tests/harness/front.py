# SPDX-License-Identifier: AGPL-3.0-or-later
"""Debian's nginx before a hub, configured as docs/operating.md shows and more, on free ports."""
import os
import socket
import subprocess

CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 8m;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream hub {{ server {upstream}; keepalive 32; }}
    server {{
        listen {plain};
        listen {tls} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        {locations}
        location / {{
            proxy_pass http://hub;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 1h;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


def _listening_socket():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    return listener


class Nginx:
    """Runs nginx until stop(). It inherits listening sockets that are open already, so that its ports are free ones
    and a client may connect at once."""

    def __init__(self, folder, upstream, certificate, locations=""):
        folder.mkdir(parents=True)
        listeners = [_listening_socket(), _listening_socket()]
        plain, tls = (f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners)
        self.url, self.tls_url = f"http://{plain}", f"https://{tls}"
        (folder / "nginx.conf").write_text(CONFIGURATION.format(
            folder=folder, user="user root;" if os.geteuid() == 0 else "", upstream=upstream.split("//", 1)[1].split("/")[0], plain=plain, tls=tls,
            certificate=certificate[0], key=certificate[1], locations=locations))
        numbers = [listener.fileno() for listener in listeners]
        self.log = folder / "nginx.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=numbers,
                env={**os.environ, "NGINX": "".join(f"{number};" for number in numbers)})
        for listener in listeners:
            listener.close()

    def stop(self):
        assert self.process.poll() is None, "nginx ended by itself:\n" + self.log.read_text()
        self.process.terminate()
        self.process.wait(60)
