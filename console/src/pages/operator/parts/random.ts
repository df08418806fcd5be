/** As many random bytes as asked for, as hexadecimal digits. Works without HTTPS too, where `crypto.randomUUID` does not. */
export function randomHex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

const EASY = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/** A password without letters that look alike: 18 of 55 signs are 104 bits. */
export function randomPassword(length = 18): string {
  let password = "";
  while (password.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      // A byte beyond the last whole multiple would favour the first letters.
      if (byte < 256 - (256 % EASY.length) && password.length < length) password += EASY[byte % EASY.length];
    }
  }
  return password;
}
