// The message of an error, in one line.

export const inOneLine = (error: unknown): string => (error instanceof Error ? error.message : String(error))
