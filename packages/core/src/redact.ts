/** Keeps secrets out of text that people and logs read. */

const SECRETS = /eyJ[\w-]*\.[\w-]*\.?[\w-]*|csk_\w+/g;

/** The text with everything in it that looks like a token or an API key blotted out. */
export function redact(text: string): string {
  return text.replace(SECRETS, '[redacted]');
}
