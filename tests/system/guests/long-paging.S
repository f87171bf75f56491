# Four-level paging: rights, error codes, CR2, accessed and dirty bits, large pages (SDM vol. 3A chapter 4).
.include "long.inc"

.set P, 1
.set W, 2
.set U, 4
.set A, 0x20
.set D, 0x40
.set PS, 0x80
.set G, 0x100
.set LARGE, 0x60200000          # PD_USER[257]
.set LARGE_ENTRY, PD_USER + 257 * 8
.set GIGANTIC, 0x100000000      # PDPT[4]

.macro MAP index, flags
    movq $TEST_FRAMES + \index * 0x1000 + \flags, PT_TEST + \index * 8
    invlpg TEST_PAGES + \index * 0x1000
.endm

# Sets or clears a page's NX.
.macro SET_NX index
    btsq $63, PT_TEST + \index * 8
    invlpg TEST_PAGES + \index * 0x1000
.endm

.set PAGE0, TEST_PAGES
.set PAGE1, TEST_PAGES + 0x1000
.set FRAME0, TEST_FRAMES
.set FRAME1, TEST_FRAMES + 0x1000

.macro CLEAR_CR0 bits
    movq %cr0, %rax
    andq $~(\bits), %rax
    movq %rax, %cr0
.endm
.macro SET_CR0 bits
    movq %cr0, %rax
    orq $\bits, %rax
    movq %rax, %cr0
.endm

main:
    TEST "not present"
    FAULT 14, 0, movl PAGE0 + 4, %eax
    CHECK fault_cr2, $PAGE0 + 4
    FAULT 14, 2, movl %eax, PAGE0 + 8
    CHECK fault_cr2, $PAGE0 + 8
    FAULT 14, 2, lock incl PAGE0 + 12
    CHECK fault_cr2, $PAGE0 + 12
    FAULT 14, 0, cmpl $1, PAGE0
    USER_FAULT 14, 4, user_read, user_read
    USER_FAULT 14, 6, user_write, user_write
    movl $PAGE0, %ebx
    # NXE is set, so a fetch says so.
    EXPECT_RESUME 1f
    jmp *%rbx
1:  CHECKL fault_vector, $14
    CHECKL fault_error, $0x10
    CHECK fault_rip, $PAGE0
    CHECK fault_cr2, $PAGE0

    TEST "supervisor page from user code"
    MAP 0, P | W
    USER_FAULT 14, 5, user_read, user_read
    CHECK fault_cr2, $PAGE0
    USER_FAULT 14, 7, user_write, user_write
    USER_RUN user_jump
    CHECKL fault_vector, $14
    CHECKL fault_error, $0x15
    CHECK fault_rip, $PAGE0
    PASS movl %eax, PAGE0

    # Both execute the user page often enough that they share what was compiled.
    TEST "supervisor page behind a user page"
    MAP 0, P | W | U
    MAP 1, P | W
    movb $0xe9, PAGE0               # jmp PAGE1
    movl $0xffb, PAGE0 + 1
    movb $0xc3, PAGE1
    movl $PAGE1, %eax
    call *%rax
    movl $100000, %ecx
2:  call *%rbx
    decl %ecx
    jnz 2b
    USER_RUN user_jump
    CHECKL fault_vector, $14
    CHECKL fault_error, $0x15
    CHECK fault_rip, $PAGE1
    CHECK fault_cr2, $PAGE1
    movq $0, PT_TEST + 8
    invlpg PAGE1

    TEST "supervisor by an upper level"
    MAP 0, P | W | U
    andq $~U, PD_USER + 256 * 8
    invlpg PAGE0
    USER_FAULT 14, 5, user_read, user_read
    orq $U, PD_USER + 256 * 8
    invlpg PAGE0

    TEST "read-only page"
    MAP 0, P | U
    USER_FAULT 14, 7, user_write, user_write
    FAULT 14, 3, movb %al, PAGE0
    FAULT 14, 3, btsl $1, PAGE0
    FAULT 14, 3, cmpxchgl %ecx, PAGE0
    PASS movb PAGE0, %al
    TEST "read-only by an upper level"
    MAP 0, P | W | U
    andq $~W, PD_USER + 256 * 8
    invlpg PAGE0
    FAULT 14, 3, movb %al, PAGE0
    orq $W, PD_USER + 256 * 8
    invlpg PAGE0
    TEST "CR0.WP clear"
    MAP 0, P | U
    CLEAR_CR0 0x10000
    movl $0x1234567, %ecx
    PASS movl %ecx, PAGE0
    CHECKL FRAME0, $0x1234567
    USER_FAULT 14, 7, user_write, user_write
    SET_CR0 0x10000
    FAULT 14, 3, movl %ecx, PAGE0

    TEST "execute-disable"
    MAP 0, P | W | U
    movb $0xc3, PAGE0
    SET_NX 0
    movl $PAGE0, %ebx
    EXPECT_RESUME 1f
    call *%rbx
1:  CHECKL fault_vector, $14
    CHECKL fault_error, $0x11
    CHECK fault_rip, $PAGE0
    USER_RUN user_jump
    CHECKL fault_vector, $14
    CHECKL fault_error, $0x15
    PASS movb PAGE0, %al
    MAP 0, P | W | U
    PASS call *%rbx

    TEST "reserved bits"
    MAP 0, P | W | U
    btsq $51, PT_TEST
    invlpg PAGE0
    FAULT 14, 9, movb PAGE0, %al
    FAULT 14, 0xb, movb %al, PAGE0
    USER_FAULT 14, 0xd, user_read, user_read
    USER_FAULT 14, 0xf, user_write, user_write
    MAP 0, P | W | U
    TEST "reserved bits of a not-present entry"
    movq $0, PT_TEST
    btsq $51, PT_TEST
    invlpg PAGE0
    FAULT 14, 0, movb PAGE0, %al
    TEST "large bit in a PML4 entry"
    movq $PDPT + 7 + PS, PML4 + 8
    movabsq $0x8000000000, %rbx
    FAULT 14, 9, movb (%rbx), %al
    movq $0, PML4 + 8
    TEST "NX is reserved without NXE"
    MAP 0, P | W | U
    SET_NX 0
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x800, %eax
    wrmsr
    FAULT 14, 9, movb PAGE0, %cl
    movq $0, PT_TEST + 8
    invlpg PAGE1
    # Without NXE and SMEP a fetch is not told apart.
    movl $PAGE1, %ebx
    EXPECT_RESUME 1f
    jmp *%rbx
1:  CHECKL fault_error, $0
    orl $0x800, %eax
    movl $0xc0000080, %ecx
    wrmsr

    TEST "accessed and dirty bits"
    MAP 0, P | W | U
    andq $~A, PD_USER + 256 * 8
    andq $~A, PDPT + 8
    movq %cr3, %rax
    movq %rax, %cr3
    movb PAGE0, %al
    CHECKL PT_TEST, $FRAME0 + P + W + U + A
    movl PD_USER + 256 * 8, %eax
    andl $A, %eax
    CHECKL %eax, $A
    movl PDPT + 8, %eax
    andl $A, %eax
    CHECKL %eax, $A
    movb %al, PAGE0
    CHECKL PT_TEST, $FRAME0 + P + W + U + A + D
    andq $~D, PT_TEST
    invlpg PAGE0
    movb PAGE0, %al
    CHECKL PT_TEST, $FRAME0 + P + W + U + A
    # The write comes with its translation known.
    movb %al, PAGE0
    CHECKL PT_TEST, $FRAME0 + P + W + U + A + D
    TEST "a comparison that fails still writes"
    MAP 0, P | W | U
    movl $1, %eax
    movl $0, FRAME0
    lock cmpxchgl %ecx, PAGE0
    CHECKL PT_TEST, $FRAME0 + P + W + U + A + D
    TEST "no dirty bit for a write that faults"
    MAP 0, P | U
    FAULT 14, 3, movb %al, PAGE0
    movl PT_TEST, %eax
    andl $D, %eax
    CHECKL %eax, $0
    TEST "fetch sets accessed only"
    MAP 0, P | W | U
    movb $0xc3, FRAME0
    movl $PAGE0, %ebx
    call *%rbx
    CHECKL PT_TEST, $FRAME0 + P + W + U + A

    TEST "INVLPG shows a new mapping"
    MAP 0, P | W | U
    movl $0x11111111, FRAME0
    movl $0x22222222, FRAME1
    CHECKL PAGE0, $0x11111111
    movq $FRAME1 + P + W + U, PT_TEST
    invlpg PAGE0 + 0x123
    CHECKL PAGE0, $0x22222222
    TEST "INVLPG of a non-canonical address does nothing"
    movabsq $0x800000000000, %rbx
    PASS invlpg (%rbx)
    TEST "INVLPG drops global pages"
    SET_CR4 0x80
    MAP 0, P | W | U | G
    CHECKL PAGE0, $0x11111111
    movq $FRAME1 + P + W + U + G, PT_TEST
    invlpg PAGE0
    CHECKL PAGE0, $0x22222222
    TEST "CR4.PGE drops global pages"
    MAP 0, P | W | U | G
    CHECKL PAGE0, $0x11111111
    movq $FRAME1 + P + W + U, PT_TEST
    CLEAR_CR4 0x80
    CHECKL PAGE0, $0x22222222
    TEST "MOV CR3 drops pages that are not global"
    MAP 0, P | W | U
    CHECKL PAGE0, $0x11111111
    movq $FRAME1 + P + W + U, PT_TEST
    movq %cr3, %rax
    movq %rax, %cr3
    CHECKL PAGE0, $0x22222222
    TEST "a right that was added is seen without INVLPG"
    # SDM vol. 3A §4.10.4.3: the fault itself drops the stale translation.
    MAP 0, P | U
    movb PAGE0, %al
    orq $W, PT_TEST
    EXPECT_RESUME 1f
    movb %al, PAGE0
1:  movb PAGE0, %al
    PASS movb %al, PAGE0

    TEST "2-MiB page"
    movq $0x400000 + P + W + U + PS, LARGE_ENTRY
    invlpg LARGE
    movl $0x33333333, 0x400000 + 0x123450
    CHECKL LARGE + 0x123450, $0x33333333
    CHECKL LARGE_ENTRY, $0x400000 + P + W + U + PS + A
    movl $0x44444444, LARGE + 0x1ffffc
    CHECKL 0x5ffffc, $0x44444444
    CHECKL LARGE_ENTRY, $0x400000 + P + W + U + PS + A + D
    TEST "reserved bits of a 2-MiB page"
    orq $0x2000, LARGE_ENTRY
    invlpg LARGE
    FAULT 14, 9, movb LARGE, %al
    movq $0x400000 + P + W + U + PS + 0x1000, LARGE_ENTRY
    invlpg LARGE
    TEST "PAT bit of a 2-MiB page is not an address bit"
    PASS movb LARGE, %al
    movq $0, LARGE_ENTRY
    invlpg LARGE
    FAULT 14, 0, movb LARGE + 0x5678, %al
    TEST "1-GiB page"
    movq $P + W + PS, PDPT + 32
    movl $0x55555555, 0x523450
    movabsq $GIGANTIC + 0x523450, %rbx
    movl (%rbx), %eax
    CHECKL %eax, $0x55555555
    movl $0x66666666, (%rbx)
    CHECKL 0x523450, $0x66666666
    CHECKL PDPT + 32, $P + W + PS + A + D
    orq $0x2000, PDPT + 32
    invlpg (%rbx)
    FAULT 14, 9, movb (%rbx), %al
    movq $0, PDPT + 32
    invlpg (%rbx)
    FAULT 14, 0, movb (%rbx), %al

    TEST "a page is split without INVLPG of each part"
    movq $0x400000 + P + W + U + PS, LARGE_ENTRY
    movl LARGE + 0x5000, %eax
    movl LARGE + 0x7000, %eax
    movq $0, LARGE_ENTRY
    invlpg LARGE + 0x5000
    FAULT 14, 0, movb LARGE + 0x7000, %al

    TEST "non-canonical addresses"
    movabsq $0x800000000000, %rbx
    FAULT 13, 0, movb (%rbx), %al
    movabsq $0xffff7fffffffffff, %rbx
    FAULT 13, 0, movb %al, (%rbx)
    movabsq $0x7fffffffffff, %rbx
    FAULT 14, 0, movb (%rbx), %al
    FAULT 13, 0, movl 1(%rbx), %eax
    TEST "non-canonical stack"
    DEFAULT_GATE 12, 0x8e, 1
    movabsq $0x800000000000, %rbp
    FAULT 12, 0, movb (%rbp), %al
    leaq 8(%rbp), %rdx
    EXPECT_RESUME 1f
    movq %rdx, %rsp
    pushq %rax
1:  CHECKL fault_vector, $12
    CHECKL fault_error, $0
    CHECK fault_rsp, %rdx
    TEST "non-canonical branch"
    movabsq $0x800000000000, %rbx
    FAULT 13, 0, jmp *%rbx
    FAULT 13, 0, call *%rbx
    EXPECT_RESUME 1f
    pushq %rbx
0:  ret
1:  CHECKL fault_vector, $13
    CHECK fault_rip, $0b
    THE_END

user_read:
    movb PAGE0, %al
    int $0x40
user_write:
    movb %al, PAGE0
    int $0x40
user_jump:
    movl $PAGE0, %ebx
    jmp *%rbx
