import { isRecord, textOf } from './values.ts';

/** A person, as the access token and the replies of the server describe one. */
export interface User {
  /** Your id of the person. */
  readonly id: string;
  /** The name to show, or null. */
  readonly name: string | null;
  /** The address of a picture, or null. */
  readonly avatar: string | null;
  /** Your own data, as your backend last sent it. For display; the server decides what is allowed. */
  readonly custom: Record<string, unknown>;
}

/** Reads the members that a reply and the claims of a token have in common. */
export function readUser(id: string, from: Record<string, unknown>): User {
  const { name, avatar, custom } = from;
  return {
    id,
    name: textOf(name) ?? null,
    avatar: textOf(avatar) ?? null,
    custom: isRecord(custom) ? custom : {},
  };
}
