/** The one function of Babel that the tests call. */
declare module '@babel/core' {
  export function transformAsync(
    code: string,
    options: Record<string, unknown>,
  ): Promise<{ readonly code?: string | null } | null>;
}
