# The CPU add-on, built by node-gyp with nothing but a compiler: scripts/build_native.mjs. CMakeLists.txt builds the same and CUDA.
# Not in package.json's `files`: npm would run it on the user's machine.
{
  'targets': [{
    'target_name': 'turnwise',
    'sources': ['<!@(node scripts/native_sources.cjs)'],
    'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
    'defines': [
      'NAPI_VERSION=8',
      'NAPI_DISABLE_CPP_EXCEPTIONS',
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ],
    # C++ exceptions stay on: std::bad_alloc becomes a status.
    'cflags!': ['-fno-omit-frame-pointer'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20', '-O2'],
    # No contraction: one build must give one set of bits, whatever the compiler likes to fuse.
    'cflags_cc': [
      '-std=c++17', '-O3', '-ffp-contract=off', '-fno-math-errno', '-fvisibility=hidden', '-fvisibility-inlines-hidden',
      '-pthread', '-Wall', '-Wextra', '-Wmissing-declarations', '-fstack-protector-strong',
      '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=3',
    ],
    'conditions': [
      ['OS=="linux"', {
        'cflags_cc': ['-fstack-clash-protection'],
        # nodelete: the pool's threads run this code after the last worker that loaded it is gone.
        'ldflags': [
          '-pthread',
          # Relative to build/, where make runs: an absolute path would break at a space.
          '-Wl,--version-script=../native/binding/exports.map',
          '-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete',
          '-Wl,--as-needed',
        ],
        'conditions': [
          ['target_arch=="x64"', { 'cflags_cc': ['-fcf-protection=full'] }],
          ['target_arch=="arm64"', { 'cflags_cc': ['-mbranch-protection=standard'] }],
        ],
      }],
      ['OS=="mac"', {
        'xcode_settings': {
          'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
          'CLANG_CXX_LIBRARY': 'libc++',
          'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
          'GCC_OPTIMIZATION_LEVEL': '3',
          'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
          'MACOSX_DEPLOYMENT_TARGET': '11.0',
          'OTHER_CPLUSPLUSFLAGS': ['-ffp-contract=off', '-fno-math-errno', '-Wall', '-Wextra'],
        },
      }],
      ['OS=="win"', {
        'defines': ['NOMINMAX', '_HAS_EXCEPTIONS=1'],
        'msvs_settings': {
          'VCCLCompilerTool': {
            'ExceptionHandling': 1,
            'AdditionalOptions': ['/std:c++17', '/O2', '/fp:precise', '/Zc:preprocessor', '/guard:cf'],
          },
        },
      }],
    ],
  }],
}
