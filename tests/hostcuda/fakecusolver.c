/* The cuSOLVER entry points that cupy.linalg, cupyx.lapack and cupyx.scipy.linalg use, over the LAPACK that SciPy carries; hc_lapack
   (device.py sets it) gives the address of a routine by its name.  Matrices are column-major in both, so most entries hand through. */
#include <complex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef float complex Complex8;
typedef double complex Complex16;
enum { R32F = 0, R64F = 1, C32F = 4, C64F = 5 };  /* cudaDataType */
typedef void (*routine)(const void *, ...);
void *(*hc_lapack)(const char *name);
void hc_note(const char *name);
#define CALL(NAME) ((routine)hc_lapack(#NAME))
#define UPLO (uplo ? "U" : "L")
#define TRANS (trans == 0 ? "N" : trans == 1 ? "T" : "C")
/* The size of the workspace stands in the first element of the one that a query was given. */
#define SIZE(query) ((int)creal(query) + 1)

static void *zeros(long count, long size) { return calloc(count > 0 ? count : 1, size); }
static void copy(void *to, long ld_to, const void *from, long ld_from, long rows, long columns, long size) {
  for (long j = 0; j < columns; j++) memcpy((char *)to + j * ld_to * size, (const char *)from + j * ld_from * size, rows * size); }

#define FACTORS(X, x, T) \
  int cusolverDn##X##potrf_bufferSize(void *h, int uplo, int n, T *A, int lda, int *size) { *size = 1; return 0; } \
  int cusolverDn##X##potrf(void *h, int uplo, int n, T *A, int lda, T *work, int lwork, int *info) { \
    hc_note("cusolver::potrf"); CALL(x##potrf)(UPLO, &n, A, &lda, info); return 0; } \
  int cusolverDn##X##potrfBatched(void *h, int uplo, int n, T **A, int lda, int *info, int count) { \
    hc_note("cusolver::potrfBatched"); \
    for (int i = 0; i < count; i++) CALL(x##potrf)(UPLO, &n, A[i], &lda, info + i); \
    return 0; } \
  int cusolverDn##X##potrs(void *h, int uplo, int n, int k, const T *A, int lda, T *B, int ldb, int *info) { \
    hc_note("cusolver::potrs"); CALL(x##potrs)(UPLO, &n, &k, A, &lda, B, &ldb, info); return 0; } \
  int cusolverDn##X##potrsBatched(void *h, int uplo, int n, int k, T **A, int lda, T **B, int ldb, int *info, int count) { \
    hc_note("cusolver::potrsBatched"); \
    for (int i = 0; i < count; i++) CALL(x##potrs)(UPLO, &n, &k, A[i], &lda, B[i], &ldb, info); \
    return 0; } \
  int cusolverDn##X##getrf_bufferSize(void *h, int m, int n, T *A, int lda, int *size) { *size = 1; return 0; } \
  int cusolverDn##X##getrf(void *h, int m, int n, T *A, int lda, T *work, int *pivots, int *info) { \
    hc_note("cusolver::getrf"); CALL(x##getrf)(&m, &n, A, &lda, pivots, info); return 0; } \
  int cusolverDn##X##getrs(void *h, int trans, int n, int k, const T *A, int lda, const int *pivots, T *B, int ldb, int *info) { \
    hc_note("cusolver::getrs"); CALL(x##getrs)(TRANS, &n, &k, A, &lda, pivots, B, &ldb, info); return 0; } \
  int cusolverDn##X##geqrf_bufferSize(void *h, int m, int n, T *A, int lda, int *size) { \
    *size = 64 * (n + 1); return 0; } \
  int cusolverDn##X##geqrf(void *h, int m, int n, T *A, int lda, T *tau, T *work, int lwork, int *info) { \
    hc_note("cusolver::geqrf"); CALL(x##geqrf)(&m, &n, A, &lda, tau, work, &lwork, info); return 0; }

#define ORTHOGONAL(X, x, T, OR) \
  int cusolverDn##X##OR##gqr_bufferSize(void *h, int m, int n, int k, const T *A, int lda, const T *tau, int *size) { \
    *size = 64 * (n + 1); return 0; } \
  int cusolverDn##X##OR##gqr(void *h, int m, int n, int k, T *A, int lda, const T *tau, T *work, int lwork, int *info) { \
    hc_note("cusolver::" #OR "gqr"); CALL(x##OR##gqr)(&m, &n, &k, A, &lda, tau, work, &lwork, info); return 0; } \
  int cusolverDn##X##OR##mqr_bufferSize(void *h, int side, int trans, int m, int n, int k, const T *A, int lda, const T *tau, \
                                        const T *C, int ldc, int *size) { \
    *size = 64 * (m + n + 1) + 64 * 65; return 0; } \
  int cusolverDn##X##OR##mqr(void *h, int side, int trans, int m, int n, int k, const T *A, int lda, const T *tau, T *C, int ldc, \
                             T *work, int lwork, int *info) { \
    hc_note("cusolver::" #OR "mqr"); \
    CALL(x##OR##mqr)(side ? "R" : "L", TRANS, &m, &n, &k, A, &lda, tau, C, &ldc, work, &lwork, info); return 0; }

/* The singular value decomposition by gesdd, which NumPy uses too: the same signs.  `z`: 'A' all vectors, 'S' the first, 'N' none. */
#define SPECTRAL(X, x, T, R, COMPLEX, SYEV, SYEVJ) \
  static void svd_##x(char z, int m, int n, T *A, int lda, R *S, T *U, int ldu, T *V, int ldv, int *info) { \
    int k = m < n ? m : n, big = m < n ? n : m, lwork = -1; T query = 0; \
    int *iwork = zeros(8 * k, sizeof *iwork); R *rwork = zeros(5L * k * k + 7L * k + 2L * big * k + 2L * k * k + k, sizeof *rwork); \
    for (T *work = &query; ; lwork = SIZE(query), work = zeros(lwork, sizeof *work)) { \
      if (COMPLEX) CALL(x##gesdd)(&z, &m, &n, A, &lda, S, U, &ldu, V, &ldv, work, &lwork, rwork, iwork, info); \
      else CALL(x##gesdd)(&z, &m, &n, A, &lda, S, U, &ldu, V, &ldv, work, &lwork, iwork, info); \
      if (lwork >= 0) { free(work); break; } } \
    free(iwork); free(rwork); } \
  int cusolverDn##X##gesvd_bufferSize(void *h, int m, int n, int *size) { *size = 1; return 0; } \
  int cusolverDn##X##gesvd(void *h, signed char job_u, signed char job_v, int m, int n, T *A, int lda, R *S, T *U, int ldu, \
                           T *V, int ldv, T *work, int lwork, R *rwork, int *info) { \
    hc_note("cusolver::gesvd"); \
    int k = m < n ? m : n, all = job_u == 'A' || job_v == 'A', none = job_u == 'N' && job_v == 'N'; \
    int columns = all ? m : k, rows = all ? n : k; \
    T *u = zeros((long)m * columns, sizeof *u), *v = zeros((long)rows * n, sizeof *v); \
    svd_##x(none ? 'N' : all ? 'A' : 'S', m, n, A, lda, S, u, m ? m : 1, v, rows ? rows : 1, info); \
    if (job_u == 'O') copy(A, lda, u, m, m, k, sizeof *u); \
    else if (job_u != 'N') copy(U, ldu, u, m, m, job_u == 'A' ? m : k, sizeof *u); \
    if (job_v == 'O') copy(A, lda, v, rows, k, n, sizeof *v); \
    else if (job_v != 'N') copy(V, ldv, v, rows, job_v == 'A' ? n : k, n, sizeof *v); \
    free(u); free(v); return 0; } \
  int cusolverDn##X##gesvdj_bufferSize(void *h, int job, int economic, int m, int n, const T *A, int lda, const R *S, const T *U, \
                                       int ldu, const T *V, int ldv, int *size, void *parameters) { *size = 1; return 0; } \
  static void jacobi_##x(int job, int economic, int m, int n, T *A, int lda, R *S, T *U, int ldu, T *V, int ldv, int *info) { \
    int k = m < n ? m : n, rows = economic ? k : n; T *v = zeros((long)rows * n, sizeof *v); \
    svd_##x(!job ? 'N' : economic ? 'S' : 'A', m, n, A, lda, S, U, ldu, v, rows, info); \
    if (job) for (int i = 0; i < rows; i++) for (int j = 0; j < n; j++) V[j + (long)i * ldv] = conj(v[i + (long)j * rows]); \
    free(v); } \
  int cusolverDn##X##gesvdj(void *h, int job, int economic, int m, int n, T *A, int lda, R *S, T *U, int ldu, T *V, int ldv, \
                            T *work, int lwork, int *info, void *parameters) { \
    hc_note("cusolver::gesvdj"); jacobi_##x(job, economic, m, n, A, lda, S, U, ldu, V, ldv, info); return 0; } \
  int cusolverDn##X##gesvdjBatched_bufferSize(void *h, int job, int m, int n, const T *A, int lda, const R *S, const T *U, int ldu, \
                                              const T *V, int ldv, int *size, void *parameters, int count) { *size = 1; return 0; } \
  int cusolverDn##X##gesvdjBatched(void *h, int job, int m, int n, T *A, int lda, R *S, T *U, int ldu, T *V, int ldv, T *work, \
                                   int lwork, int *info, void *parameters, int count) { \
    hc_note("cusolver::gesvdjBatched"); \
    for (long i = 0; i < count; i++) \
      jacobi_##x(job, 0, m, n, A + i * lda * n, lda, S + i * (m < n ? m : n), U + i * ldu * m, ldu, V + i * ldv * n, ldv, info + i); \
    return 0; } \
  static void symmetric_##x(int job, int uplo, int n, T *A, int lda, R *W, int *info) { \
    int lwork = 1 + 6 * n + 2 * n * n, lrwork = 1 + 5 * n + 2 * n * n, liwork = 3 + 5 * n; \
    T *work = zeros(lwork, sizeof *work); R *rwork = zeros(lrwork, sizeof *rwork); int *iwork = zeros(liwork, sizeof *iwork); \
    if (COMPLEX) CALL(SYEV)(job ? "V" : "N", UPLO, &n, A, &lda, W, work, &lwork, rwork, &lrwork, iwork, &liwork, info); \
    else CALL(SYEV)(job ? "V" : "N", UPLO, &n, A, &lda, W, work, &lwork, iwork, &liwork, info); \
    free(work); free(rwork); free(iwork); } \
  int cusolverDn##X##SYEVJ##_bufferSize(void *h, int job, int uplo, int n, const T *A, int lda, const R *W, int *size, \
                                        void *parameters) { *size = 1; return 0; } \
  int cusolverDn##X##SYEVJ(void *h, int job, int uplo, int n, T *A, int lda, R *W, T *work, int lwork, int *info, void *parameters) { \
    hc_note("cusolver::syevj"); symmetric_##x(job, uplo, n, A, lda, W, info); return 0; } \
  int cusolverDn##X##SYEVJ##Batched_bufferSize(void *h, int job, int uplo, int n, const T *A, int lda, const R *W, int *size, \
                                               void *parameters, int count) { *size = 1; return 0; } \
  int cusolverDn##X##SYEVJ##Batched(void *h, int job, int uplo, int n, T *A, int lda, R *W, T *work, int lwork, int *info, \
                                    void *parameters, int count) { \
    hc_note("cusolver::syevjBatched"); \
    for (long i = 0; i < count; i++) symmetric_##x(job, uplo, n, A + i * lda * n, lda, W + i * n, info + i); \
    return 0; } \
  static void general_##x(int job_l, int job_r, int n, T *A, int lda, R complex *W, T *L, int ldl, T *V, int ldv, int *info) { \
    int lwork = 34 * n + 1; T *work = zeros(lwork, sizeof *work); R *rwork = zeros(2 * n, sizeof *rwork); \
    if (COMPLEX) \
      CALL(x##geev)(job_l ? "V" : "N", job_r ? "V" : "N", &n, A, &lda, W, L, &ldl, V, &ldv, work, &lwork, rwork, info); \
    else { \
      CALL(x##geev)(job_l ? "V" : "N", job_r ? "V" : "N", &n, A, &lda, rwork, rwork + n, L, &ldl, V, &ldv, work, &lwork, info); \
      for (int i = 0; i < n; i++) W[i] = CMPLX(rwork[i], rwork[n + i]); } \
    free(work); free(rwork); }

FACTORS(S, s, float)
FACTORS(D, d, double)
FACTORS(C, c, Complex8)
FACTORS(Z, z, Complex16)
ORTHOGONAL(S, s, float, or)
ORTHOGONAL(D, d, double, or)
ORTHOGONAL(C, c, Complex8, un)
ORTHOGONAL(Z, z, Complex16, un)
SPECTRAL(S, s, float, float, 0, ssyevd, syevj)
SPECTRAL(D, d, double, double, 0, dsyevd, syevj)
SPECTRAL(C, c, Complex8, float, 1, cheevd, heevj)
SPECTRAL(Z, z, Complex16, double, 1, zheevd, heevj)

int cusolverDnXsyevd_bufferSize(void *h, void *parameters, int job, int uplo, int64_t n, int type, const void *A, int64_t lda,
                                int w_type, const void *W, int compute, size_t *device, size_t *host) {
  *device = *host = 1; return 0; }
int cusolverDnXsyevd(void *h, void *parameters, int job, int uplo, int64_t n, int type, void *A, int64_t lda, int w_type, void *W,
                     int compute, void *work, size_t size, void *host, size_t host_size, int *info) {
  hc_note("cusolver::syevd");
  switch (type) {
    case R32F: symmetric_s(job, uplo, n, A, lda, W, info); return 0;
    case R64F: symmetric_d(job, uplo, n, A, lda, W, info); return 0;
    case C32F: symmetric_c(job, uplo, n, A, lda, W, info); return 0;
    default: symmetric_z(job, uplo, n, A, lda, W, info); return 0; } }
int cusolverDnXgeev_bufferSize(void *h, void *parameters, int job_l, int job_r, int64_t n, int type, const void *A, int64_t lda,
                               int w_type, const void *W, int l_type, const void *L, int64_t ldl, int v_type, const void *V,
                               int64_t ldv, int compute, size_t *device, size_t *host) {
  *device = *host = 1; return 0; }
int cusolverDnXgeev(void *h, void *parameters, int job_l, int job_r, int64_t n, int type, void *A, int64_t lda, int w_type, void *W,
                    int l_type, void *L, int64_t ldl, int v_type, void *V, int64_t ldv, int compute, void *work, size_t size,
                    void *host, size_t host_size, int *info) {
  hc_note("cusolver::geev");
  switch (type) {
    case R32F: general_s(job_l, job_r, n, A, lda, W, L, ldl, V, ldv, info); return 0;
    case R64F: general_d(job_l, job_r, n, A, lda, W, L, ldl, V, ldv, info); return 0;
    case C32F: general_c(job_l, job_r, n, A, lda, W, L, ldl, V, ldv, info); return 0;
    default: general_z(job_l, job_r, n, A, lda, W, L, ldl, V, ldv, info); return 0; } }

#define HANDLE(NAME) \
  int cusolverDnCreate##NAME(void **made) { *made = (void *)1; return 0; } \
  int cusolverDnDestroy##NAME(void *made) { return 0; }
HANDLE()
HANDLE(Params)
HANDLE(GesvdjInfo)
HANDLE(SyevjInfo)
int cusolverDnSetStream(void *h, void *stream) { return 0; }
int cusolverGetProperty(int which, int *value) { *value = which == 0 ? 11 : which == 1 ? 7 : 5; return 0; }
