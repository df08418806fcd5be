import type { Shape } from "../api/queries";

type Options = Shape<"PasskeyOptions">;

/** Whether this browser can show or make passkeys. */
export function hasPasskeys(): boolean {
  return typeof window.PublicKeyCredential === "function" && window.isSecureContext;
}

/** The person closed the browser's dialog, or it ran out of time. */
export class PasskeyDismissed extends Error {}

/** Shows a passkey, and returns what the API takes as `credential`. Raises PasskeyDismissed. */
export function showPasskey(given: Options): Promise<unknown> {
  const options = PublicKeyCredential.parseRequestOptionsFromJSON(unwrap(given.options));
  return asked(() => navigator.credentials.get({ publicKey: options }));
}

/** Makes a passkey, and returns what the API takes as `credential`. Raises PasskeyDismissed. */
export function makePasskey(given: Options): Promise<unknown> {
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(unwrap(given.options));
  return asked(() => navigator.credentials.create({ publicKey: options }));
}

async function asked(ask: () => Promise<Credential | null>): Promise<unknown> {
  try {
    const credential = await ask();
    if (!(credential instanceof PublicKeyCredential)) throw new PasskeyDismissed();
    return credential.toJSON();
  } catch (error) {
    if (error instanceof DOMException && (error.name === "NotAllowedError" || error.name === "AbortError")) {
      throw new PasskeyDismissed();
    }
    throw error;
  }
}

// Some servers wrap the options as the standard's `CredentialRequestOptions` does.
function unwrap<T>(options: unknown): T {
  const wrapped = options as { publicKey?: T };
  return wrapped.publicKey ?? (options as T);
}
