"""The HTTP server of all stand-ins: of Vault, Amazon, clouds, identity providers, agents."""

import http.server
import socket
import threading


class HttpListener(http.server.ThreadingHTTPServer):
    """Serves at once, on threads of its own, until close(). TLS is agreed upon by each connection's own thread. Where that fails,
    what the client sends all the same is read before the connection ends: else it is chance whether the client learns of the
    refusal, or of a connection that was reset."""

    daemon_threads, request_queue_size = True, 256

    def __init__(self, address, handler, tls=None):
        super().__init__(address, handler)
        self.tls = tls
        self.url = "%s://%s:%d" % ("https" if tls else "http", *self.server_address)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.shutdown()
        self.server_close()
        self.thread.join()

    def finish_request(self, request, client_address):
        if self.tls is None:
            return super().finish_request(request, client_address)
        link = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True)
        link.settimeout(60)
        try:
            link.do_handshake()
        except OSError:
            self._drain(link.detach())
            return None
        try:
            super().finish_request(link, client_address)
        finally:
            self.shutdown_request(link)

    @staticmethod
    def _drain(descriptor):
        with socket.socket(fileno=descriptor) as raw:
            raw.settimeout(60)
            try:
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    pass
            except OSError:
                pass

    def handle_error(self, request, client_address):
        pass  # clients that go, as they may
