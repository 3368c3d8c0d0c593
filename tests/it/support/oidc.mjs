// A real OpenID Connect provider (oidc-provider, certified) whose only user is `ann`, who always agrees.
// Arguments: the directory with node_modules, the client's address to come back to, how ID tokens are signed. Says its port.
import { generateKeyPairSync } from "node:crypto";
import http from "node:http";
import { pathToFileURL } from "node:url";

// The library tells of its defaults here, where only the port is read.
console.info = console.error;

const [, , modules, callback, algorithm] = process.argv;
const library = pathToFileURL(`${modules}/node_modules/oidc-provider/lib/index.js`);
const { default: Provider } = await import(library);

const kinds = { RS256: ["rsa", { modulusLength: 2048 }], ES256: ["ec", { namedCurve: "P-256" }], EdDSA: ["ed25519", {}] };
const key = generateKeyPairSync(...kinds[algorithm]).privateKey.export({ format: "jwk" });

let provider;
const server = http.createServer((request, response) => {
  if (request.url.startsWith("/interaction/")) return interact(request, response);
  return provider.callback()(request, response);
});

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: "ann" } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: "starwright",
        client_secret: "the secret of the client",
        redirect_uris: [callback],
        token_endpoint_auth_method: "client_secret_basic",
        id_token_signed_response_alg: algorithm,
      },
    ],
    claims: { profile: ["preferred_username", "name", "groups"], email: ["email", "email_verified"] },
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    jwks: { keys: [{ ...key, alg: algorithm, kid: "test", use: "sig" }] },
    cookies: { keys: ["a key of the test"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        preferred_username: id,
        name: "Ann Lee",
        groups: ["dev", "admin"],
        email: "ann@example.org",
        email_verified: true,
      }),
    }),
  });
  console.log(port);
});
