"""An SMTP server for tests: says its port, then writes each mail that it takes as a line of JSON."""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


def say(what):
    print(json.dumps(what), flush=True)


def parts_of(message):
    text = message.get_body(("plain",))
    html = message.get_body(("html",))
    return [part.get_content() if part else None for part in (text, html)]


class Handler:
    def __init__(self, answers, recipients):
        self.answers = answers
        self.recipients = recipients

    async def handle_MAIL(self, server, session, envelope, address, options):
        if answer := self.answers.get("MAIL"):
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if answer := self.answers.get(address):
            return answer
        if len(envelope.rcpt_tos) >= self.recipients:
            return "452 4.5.3 too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if answer := self.answers.get("DATA"):
            return answer
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text, html = parts_of(message)
        say(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "headers": {name: str(value) for name, value in message.items()},
                "text": text,
                "html": html,
                "raw": envelope.content.decode("ascii", "replace"),
                "user": getattr(session, "login", None),
                "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            }
        )
        return "250 OK"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--tls", choices=["none", "starttls", "tls"], default="none")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--answer", action="append", default=[], help="WHAT=ANSWER: MAIL, DATA or a recipient")
    parser.add_argument("--old", action="store_true", help="without SMTPUTF8")
    parser.add_argument("--recipients", type=int, default=1000, help="how many a mail may have")
    options = parser.parse_args()

    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)

    def authenticate(server, session, envelope, mechanism, data):
        session.login = data.login.decode()
        known = (data.login, data.password) == (options.user.encode(), options.password.encode())
        return AuthResult(success=known, handled=False)

    def serve():
        return SMTP(
            Handler(dict(answer.split("=", 1) for answer in options.answer), options.recipients),
            enable_SMTPUTF8=not options.old,
            tls_context=context if options.tls == "starttls" else None,
            require_starttls=options.tls == "starttls",
            auth_required=options.user is not None,
            auth_require_tls=False,
            authenticator=authenticate if options.user else None,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(serve, "127.0.0.1", options.port, ssl=context if options.tls == "tls" else None)
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


# It would warn that a login without encryption is unsafe: here it is the point of a test.
warnings.simplefilter("ignore")
logging.disable()
asyncio.run(main())
