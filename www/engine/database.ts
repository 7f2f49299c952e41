// IndexedDB with promises.

/** Opens a database; `upgrade` migrates it from the given version (0 if it is new) to this one. */
export function openDatabase(
  name: string,
  version: number,
  upgrade: (database: IDBDatabase, from: number) => void,
): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, version)
    request.onupgradeneeded = ({ oldVersion }) => upgrade(request.result, oldVersion)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** The result of a request, once its transaction is complete. */
export function kept<T>(request: IDBRequest<T>): Promise<T> {
  const { transaction } = request
  return new Promise((resolve, reject) => {
    transaction?.addEventListener('complete', () => resolve(request.result))
    transaction?.addEventListener('abort', () => reject(transaction.error ?? request.error))
  })
}
