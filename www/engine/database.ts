// IndexedDB with promises.

/** A database; `upgrade` brings it from the version that is there, 0 for none, to this one. */
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

/** What a request gave, once all of its transaction is kept. */
export function kept<T>(request: IDBRequest<T>): Promise<T> {
  const { transaction } = request
  return new Promise((resolve, reject) => {
    transaction?.addEventListener('complete', () => resolve(request.result))
    transaction?.addEventListener('abort', () => reject(transaction.error ?? request.error))
  })
}
